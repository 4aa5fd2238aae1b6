"""How far a search is, in the words and rows of its views."""

import time
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text
from typing_extensions import override

from glad_ray.plan import Plan, plan_search
from glad_ray.progress import formatting
from glad_ray.progress.events import (
    DrawRefused,
    DrawsEnded,
    Event,
    LookTaken,
    RunProgressed,
    TrialFailed,
    TrialSeen,
    TrialsFound,
)
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.progress.sweep_reporter import SharedReporter, notice, of_distillation
from glad_ray.progress.view import Reporter, View, view_of
from glad_ray.results import Progress
from glad_ray.spec import Run
from glad_ray.spec.searches.search import Search
from glad_ray.storage import Storage


def make_search_view(search: Search, storage: Storage) -> View:
    """The view of a search."""
    return view_of(SearchReporter(search, storage))


class SearchReporter(Reporter):
    """A `Reporter` of a search; a line for every rung evaluation."""

    def __init__(self, search: Search, storage: Storage) -> None:
        plan = plan_search(search, storage)
        self._shared = SharedReporter(SweepProgress(Plan(plan.sweep, (), plan.expert_sets)))
        self._started = time.monotonic()
        self._most = search.trials
        self._found = False
        self._ended = self._ended_before = self._in_full = self._failed = self._refused = 0
        self._running: dict[str, tuple[Run, Progress]] = {}
        self._evaluated_steps: dict[str, int] = {}
        """the last step after which a run was evaluated or failed, by its id"""
        self._best: tuple[float, Run] | None = None
        """accuracy at the last rung, or, once there is one, in full"""

    @override
    def add(self, event: Event) -> None:
        match event:
            case TrialsFound(ended, _, most, refused):
                self._found = True
                self._ended = self._ended_before = ended
                self._most, self._refused = most, refused
            case DrawRefused():
                self._refused += 1
            case DrawsEnded(begun, _):
                self._most = begun
            case RunProgressed(run, progress):
                # It may come after what the run's steps led to.
                if progress.step > self._evaluated_steps.get(run.run_id, 0):
                    self._running[run.run_id] = run, progress
            case LookTaken():
                # What all looks at a rung came to is seen of its trial.
                pass
            case TrialSeen():
                self._distilled(event.run, event.step)
                self._seen(event)
            case TrialFailed():
                self._distilled(event.run, event.step)
                self._failed += 1
                self._ended += 1
            case _:
                self._shared.sweep_progress.add(event)

    @override
    def line(self, event: Event) -> str | None:
        match event:
            case TrialsFound(ended, running, most, _) if ended or running:
                return f"going on   {ended} of {most} trials have ended, {running} are under way"
            case TrialSeen(trial, drawn, run, step, accuracy, outcome):
                after = f" after {step} of {run.steps} steps" if outcome != "in full" else ""
                return f"{outcome:<10} trial {trial}, {drawn}: {_of_accuracy(accuracy)}{after}"
            case TrialFailed(trial, drawn, _, _, error):
                return f"failed     trial {trial}, {drawn}: {error}"
            case DrawRefused(draw):
                return f"no run     draw {draw.number}, {formatting.of_drawn(draw.parameters)}: {draw.error}"
            case DrawsEnded(begun, asked):
                return f"drawn out  {begun} of {asked} trials began: nothing new was drawn any more"
            case _:
                return self._shared.line(event)

    @override
    def notice(self, event: Event) -> Text | None:
        if isinstance(event, TrialSeen | TrialFailed | TrialsFound | DrawRefused | DrawsEnded):
            style = {TrialFailed: "red", DrawRefused: "red", DrawsEnded: "yellow"}.get(type(event), "")
            line = self.line(event)
        else:
            line, style = notice(event), "yellow"
        return Text(line, style=style) if line else None

    @override
    def head(self) -> Text:
        parts = [f"[bold]{self._ended}/{self._most}[/] trials ended"]
        if self._in_full:
            parts.append(f"[bold]{self._in_full}[/] in full")
        if self._failed:
            parts.append(f"[red]{self._failed} failed[/]")
        if self._refused:
            parts.append(f"[red]{formatting.of_refused(self._refused)}[/]")
        if self._best is not None:
            accuracy, run = self._best
            parts.append(f"best {_of_accuracy(accuracy)} {escape(f'({run.algorithm.name} {run.space})')}")
        parts.append(formatting.clock(time.monotonic() - self._started))
        return Text.from_markup("  ".join(parts) + formatting.left(self._seconds_left()))

    @override
    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        yield from self._shared.rows()
        for run, progress in self._running.values():
            yield of_distillation(run, progress)

    @override
    def going_on(self) -> Iterator[str]:
        yield from self._shared.going_on()
        for run, progress in self._running.values():
            yield f"{run.label}: {formatting.of_steps(progress)}"

    @override
    def summary(self) -> str | None:
        """What it came to; None: it could not begin."""
        return self.head().plain if self._found else None

    def _distilled(self, run: Run, step: int) -> None:
        self._evaluated_steps[run.run_id] = step
        self._running.pop(run.run_id, None)

    def _seen(self, event: TrialSeen) -> None:
        if event.outcome == "in full" and not self._in_full:
            self._best = None
        self._in_full += event.outcome == "in full"
        self._ended += event.outcome in ("stopped", "complete")
        counts = event.outcome == "in full" or (event.outcome == "complete" and not self._in_full)
        if counts and (self._best is None or event.accuracy > self._best[0]):
            self._best = event.accuracy, event.run

    def _seconds_left(self) -> float | None:
        """Until the last trial has ended, at the rate so far; None: not known, or none is left."""
        here = self._ended - self._ended_before
        if not here or self._ended >= self._most:
            return None
        return (self._most - self._ended) * (time.monotonic() - self._started) / here


def _of_accuracy(accuracy: float) -> str:
    """In percent."""
    return f"{100 * accuracy:.1f} %"
