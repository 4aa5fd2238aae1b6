"""What is new of a run since a tracker last took some of it. It never takes much memory: what has no room is read from
storage later.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from glad_ray.progress.events import (
    RunDistilled,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
    TrialFailed,
    TrialSeen,
)
from glad_ray.spec import Run
from glad_ray.trackers.base import Outcome, Point

_MOST_LOSSES = 10_000

RunEvent = RunProgressed | RunDistilled | TrainingDone | RunFinished | RunFailed | TrialSeen | TrialFailed
"""events that a tracker is told of"""
RUN_EVENTS = (RunProgressed, RunDistilled, TrainingDone, RunFinished, RunFailed, TrialSeen, TrialFailed)


@dataclass
class RunNews:
    """What is new of one run."""

    run: Run
    losses: dict[int, float] = field(default_factory=dict)
    """by step"""
    networks: set[tuple[str, str]] = field(default_factory=set)
    """evaluations (ids) and networks (keys) with a new training"""
    of_search: list[tuple[str, Point]] = field(default_factory=list)
    """what a search saw: the names of series, and points"""
    distilled: bool = False
    """whether it has been distilled, so that storage has all losses and the images"""
    outcome: Outcome | None = None
    """how it ended; None: it has not"""
    earlier: bool = False
    """whether all of it was done by an earlier command, whose record may be whole"""

    def add(self, event: RunEvent) -> None:
        """Take notice of an event of the run."""
        match event:
            case RunProgressed(_, progress, losses):
                values = losses or (progress.loss,)
                if len(self.losses) + len(values) <= _MOST_LOSSES:
                    self.losses |= dict(
                        zip(range(progress.step - len(values) + 1, progress.step + 1), values, strict=True)
                    )
                # A failed run that goes on.
                self.outcome = None if self.outcome == "failed" else self.outcome
            case RunDistilled():
                self.distilled = True
            case TrainingDone(_, evaluation_id, training):
                self.networks.add((evaluation_id, training.network))
            case RunFinished():
                self.distilled, self.outcome = True, "finished"
            case RunFailed() | TrialFailed():
                self.outcome = "failed"
            case TrialSeen(_, _, run, step, accuracy, outcome):
                name = "search/accuracy_in_full" if outcome == "in full" else "search/held_out_accuracy"
                self.of_search.append((name, (step, accuracy)))
                if outcome != "goes on":
                    self.distilled, self.outcome = step == run.steps, "finished"


def settings_of(run: Run) -> dict[str, str | int | float | bool]:
    """The fields of a run's record by their paths; lists as JSON, and what is not set left out."""
    return dict(_flat("", run.model_dump(mode="json", exclude={"held_as"})))


def _flat(path: str, value: Any) -> list[tuple[str, str | int | float | bool]]:
    if isinstance(value, dict):
        return [pair for name, each in value.items() for pair in _flat(f"{path}.{name}" if path else name, each)]
    if value is None:
        return []
    return [(path, value if isinstance(value, str | int | float | bool) else json.dumps(value))]
