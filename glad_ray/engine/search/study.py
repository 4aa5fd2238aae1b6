"""A search as a study of Optuna's: which configuration is evaluated next, which goes on, and what it came to.

The study is the truth about trials, the storage about rung evaluations: a driver that was killed goes on from both, and
neither loses nor repeats a trial. Several drivers, each with a storage of its own, may work at one study; a trial
belongs to the storage that began it.
"""

import random
import statistics
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from glad_ray.engine.search.open_study import open_study
from glad_ray.engine.search.samplers import prunes_again
from glad_ray.engine.search.study_trials import ERROR, OWNER, SECONDS, StudyTrials
from glad_ray.plan.stored_ids import StoredIds
from glad_ray.progress.events import DrawRefused, DrawsEnded, Event, Outcome, TrialFailed, TrialSeen, TrialsFound
from glad_ray.progress.faults import Fault
from glad_ray.results import (
    Look,
    RefusedDraw,
    SearchTrial,
    best_in_full,
    read_entry,
    read_look,
    write_refused_draws,
    write_trials,
)
from glad_ray.results.search_trials import TrialState as State
from glad_ray.spec import Evaluation, Run
from glad_ray.spec.search_space import grid_points
from glad_ray.spec.searches.search import Grid, Halving, Hyperband, Search
from glad_ray.storage import Storage

_TABLE_SECONDS = 10.0
_STATES: Mapping[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
_MOST_DRAWS = 50
"""in a row that came to nothing, until there is taken to be nothing new"""


class TrialRung(NamedTuple):
    """Where a trial is evaluated: its run after some steps."""

    trial: int
    run: Run
    step: int
    rung: int | None
    """None: in full, after the last step"""
    evaluation: Evaluation

    @property
    def label(self) -> str:
        """For people."""
        return f"trial {self.trial}, {self.run.label}"


class Study:
    """What is left of a search; `show` is told what happens."""

    def __init__(
        self, search: Search, storage: Storage, where: str | None, alone: bool, show: Callable[[Event], None]
    ) -> None:
        self.search, self.storage, self._show = search, storage, show
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna_study, kept_in = open_study(search, storage, where)
        self._trials = StudyTrials(
            search, self.optuna_study, kept_in, StoredIds(storage), _owner(storage), self._refused
        )
        self.asked = _grid_size(search) if isinstance(search.sampler, Grid) else search.trials
        """trials that are to be begun: of a grid, no more than it has"""
        self._most = self.asked
        self._ready: list[TrialRung] = []
        self._busy: set[int] = set()
        """trials that are distilled or evaluated now"""
        self._finals: list[TrialRung] | None = None
        """what is evaluated in full; None: not decided yet"""
        self._full: dict[int, tuple[Mapping[str, Look], float]] = {}
        """evaluations in full, and the seconds of distilling before them"""
        self._written = 0.0
        if alone:
            self._give_up_others()
        self._resume()

    def next(self) -> TrialRung | None:
        """What is to be evaluated next; None: nothing for now, or nothing any more (`finished`)."""
        while (at := self._ready.pop(0) if self._ready else self._begin()) is not None:
            self._busy.add(at.trial)
            seen = {
                network.key: read_look(self.storage, self._path(at, network.key)) for network in at.evaluation.networks
            }
            if any(len(each.accuracies) < at.evaluation.repeats for each in seen.values()):
                return at
            self.seen(at, seen)
        if not self._busy and self._finals is None and not self.others:
            self._finals = self._choose()
            self._ready += self._finals
            return self.next()
        return None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be evaluated here."""
        return not self._busy and not self._ready and (self._finals is not None or self.others > 0)

    @property
    def others(self) -> int:
        """Trials under way that other drivers began."""
        return len(self._trials.of_others())

    def seen(self, at: TrialRung, evaluations: Mapping[str, Look]) -> None:
        """A run was evaluated, with each network; decides how it goes on."""
        self._busy.discard(at.trial)
        accuracy = statistics.fmean(statistics.fmean(each.accuracies) for each in evaluations.values())
        if at.rung is None:
            self._full[at.trial] = evaluations, self._distilling(at.run)
            outcome: Outcome = "in full"
        else:
            outcome = self._report(at, at.rung, accuracy, sum(each.seconds for each in evaluations.values()))
        self._show(
            TrialSeen(
                at.trial,
                self._trials.drawn_in_words(at.trial),
                at.run,
                at.step,
                accuracy,
                outcome,
            )
        )
        self._write()

    def failed(self, at: TrialRung, fault: Fault) -> None:
        """A run failed; where the fault is its own, a rate too high for instance, what is like it is avoided."""
        self._busy.discard(at.trial)
        if at.rung is not None:
            self._trials.open(at.trial).set_user_attr(ERROR, fault.error)
            avoided = fault.kind == "own" and len(self.search.objectives) == 1
            state = TrialState.PRUNED if avoided else TrialState.FAIL
            self.optuna_study.tell(at.trial, state=state, skip_if_finished=True)
        self._show(TrialFailed(at.trial, self._trials.drawn_in_words(at.trial), at.run, at.step, fault.error))
        self._write()

    def given_back(self, at: TrialRung) -> None:
        """The work towards a rung was ended before its time; it goes on with the next command."""
        self._busy.discard(at.trial)
        self._ready.append(at)

    @property
    def winner(self) -> SearchTrial | None:
        """The best in full; None: nothing was evaluated in full yet."""
        return best_in_full(self.rows())

    def write(self) -> None:
        """Write the table of trials."""
        self._written = time.monotonic()
        write_trials(self.storage, self.rows())
        write_refused_draws(self.storage, self.refused())

    def rows(self) -> list[SearchTrial]:
        """All trials that were begun, in their order."""
        begun = ((trial, self._trials.run(trial)) for trial in self._trials.begun())
        return [self._row(trial, run) for trial, run in begun if run is not None]

    def refused(self) -> list[RefusedDraw]:
        """All draws of which no run can be made, in their order."""
        return self._trials.refused()

    def _refused(self, refused: RefusedDraw) -> None:
        self._show(DrawRefused(refused))
        self._write()

    def _write(self) -> None:
        if time.monotonic() - self._written > _TABLE_SECONDS:
            # The table is only for readers, and is written again.
            with suppress(OSError):
                self.write()

    def _give_up_others(self) -> None:
        for trial in self._trials.of_others():
            if OWNER in trial.user_attrs:
                self._trials.open(trial.number).set_user_attr(ERROR, "lost with its driver")
                self.optuna_study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _resume(self) -> None:
        mine = self._trials.of_this_storage()
        self._show(TrialsFound(len(self._trials.begun()) - len(mine), len(mine), self.asked, len(self.refused())))
        for trial in mine:
            if (drawn := self._trials.draw_again(trial)) is None:
                continue
            number, run = drawn
            rungs = len(trial.intermediate_values)
            if rungs:
                # Killed after the last one was told of, perhaps before it was decided who goes on.
                last = trial.intermediate_values[self._resource(rungs - 1)]
                self._decide(self._trial_rung(number, run, rungs - 1), rungs - 1, last, trial)
            else:
                self._ready.append(self._trial_rung(number, run, 0))

    def _begin(self) -> TrialRung | None:
        """A new trial, if there may be one. What comes to nothing is drawn again, a bounded number of times."""
        while len(self._trials.begun()) < self._most and self._finals is None:
            if not self._trials.in_states(TrialState.WAITING) and self._trials.nothing_in_a_row() >= _MOST_DRAWS:
                self._most = len(self._trials.begun())
                self._show(DrawsEnded(self._most, self.asked))
                return None
            if (drawn := self._trials.begin()) is not None:
                number, run = drawn
                return self._trial_rung(number, run, 0)
        return None

    def _trial_rung(self, trial: int, run: Run, rung: int | None) -> TrialRung:
        at = None if rung is None else self.search.evaluated_rungs[rung]
        step = run.steps if at is None else self.search.step_of(run, at)
        return TrialRung(trial, run, step, rung, self.search.evaluation_at(run, at))

    def _report(self, at: TrialRung, rung: int, accuracy: float, seconds: float) -> Outcome:
        """Tell the study what was seen at a rung; returns how the trial goes on."""
        trial = self._trials.open(at.trial)
        spent = trial.user_attrs.get(SECONDS, [])
        # Of the whole distillation so far, and of each rung evaluation.
        trial.set_user_attr(SECONDS, [self._distilling(at.run), *spent[1 : rung + 1], seconds])
        if len(self.search.objectives) == 1:
            trial.report(accuracy, self._resource(rung))
        return "goes on" if self._decide(at, rung, accuracy) else self._ended(at.trial)

    def _decide(self, at: TrialRung, rung: int, accuracy: float, asked: FrozenTrial | None = None) -> bool:
        """Whether a trial goes on after what was seen at a rung; it ends otherwise. `asked`: the trial, if the pruner
        may have been asked of it before.
        """
        if rung == len(self.search.evaluated_rungs) - 1:
            values = {
                "accuracy": accuracy,
                "seconds": self._distilling(at.run),
                "bytes": at.run.set_bytes,
            }
            told = [float(values[objective]) for objective in self.search.objectives]
            self.optuna_study.tell(at.trial, told, skip_if_finished=True)
            return False
        if self._trials.open(at.trial).should_prune() or (asked is not None and prunes_again(self.optuna_study, asked)):
            self.optuna_study.tell(at.trial, state=TrialState.PRUNED, skip_if_finished=True)
            return False
        self._ready.insert(0, self._trial_rung(at.trial, at.run, rung + 1))
        return True

    def _ended(self, number: int) -> Outcome:
        return "stopped" if self._trials.frozen(number).state == TrialState.PRUNED else "complete"

    def _resource(self, rung: int) -> int:
        """What Optuna's successive halving knows a rung by: it has each where `keep` times as much was spent."""
        stopping = self.search.stopping
        return stopping.keep**rung if isinstance(stopping, Halving | Hyperband) else rung + 1

    def _distilling(self, run: Run) -> float:
        entries = (read_entry(self.storage, run.run_id, name) for name in ("distilled", "checkpoint"))
        return next((entry.seconds for entry in entries if entry is not None and entry.seconds is not None), 0.0)

    def _choose(self) -> list[TrialRung]:
        """The finalists, and the controls."""
        several = len(self.search.objectives) > 1
        complete = self.optuna_study.best_trials if several else self._trials.in_states(TrialState.COMPLETE)
        accuracy = self.search.objectives.index("accuracy")
        finalists = sorted(complete, key=lambda trial: (-trial.values[accuracy], trial.number))[: self.search.finalists]
        stopped = [
            trial
            for trial in self._trials.in_states(TrialState.PRUNED)
            if trial.intermediate_values and ERROR not in trial.user_attrs
        ]
        controls = random.Random(self.search.seed).sample(stopped, min(self.search.controls, len(stopped)))
        controls.sort(key=lambda trial: trial.number)
        chosen = [(trial.number, self._trials.run(trial)) for trial in (*finalists, *controls)]
        return [self._trial_rung(number, run, None) for number, run in chosen if run is not None]

    def _row(self, trial: FrozenTrial, run: Run) -> SearchTrial:
        full, distilling = self._full.get(trial.number, ({}, 0.0))
        accuracies = tuple(trial.intermediate_values[each] for each in sorted(trial.intermediate_values))
        values = tuple(trial.values) if trial.state == TrialState.COMPLETE else ()
        if not accuracies and values:
            accuracies = (values[self.search.objectives.index("accuracy")],)
        spent = trial.user_attrs.get(SECONDS, [0.0])
        return SearchTrial(
            number=trial.number,
            state=_state(trial),
            run=run,
            parameters=trial.params,
            rung_accuracies=accuracies,
            seconds=sum(spent),
            values=values,
            full={key: each.accuracies for key, each in full.items()},
            full_seconds=max(distilling - spent[0], 0.0) * bool(full) + sum(each.seconds for each in full.values()),
            control=trial.state == TrialState.PRUNED and any(each.trial == trial.number for each in self._finals or ()),
            error=trial.user_attrs.get(ERROR),
        )

    def _path(self, at: TrialRung, network: str) -> str:
        return self.storage.look_path(at.run.run_id, at.step, at.evaluation.content_id, network)


def _state(trial: FrozenTrial) -> State:
    if ERROR in trial.user_attrs:
        return "failed"
    return _STATES[trial.state]


def _owner(storage: Storage) -> str:
    """What a storage is known by, wherever it is moved to."""
    if not storage.exists(Storage.SEARCH_OWNER):
        storage.write_bytes(Storage.SEARCH_OWNER, uuid.uuid4().hex.encode())
    return storage.read_bytes(Storage.SEARCH_OWNER).decode()


def _grid_size(search: Search) -> int:
    assert isinstance(search.sampler, Grid)
    return sum(1 for _ in islice(grid_points(search, search.sampler.points), search.trials))
