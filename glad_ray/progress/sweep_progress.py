"""What is done of a plan, what is left of it, and how long that takes at the rates measured so far."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from glad_ray.plan import Plan, experts_needed
from glad_ray.plan.cost import estimate, expert_flops, sets_in_full, training_flops
from glad_ray.progress.events import (
    Begun,
    Event,
    ExpertEpoch,
    ImagesPrepared,
    LookTaken,
    ReplicaHealth,
    Retried,
    RunDistilled,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.results import Progress, Training
from glad_ray.spec import ExpertSet, Run, Sweep

_SURE_AFTER_SECONDS = 5.0


class SweepProgress:
    """Counts events.

    Estimated operations weigh units of work of one kind against one another; measured times turn them into seconds.
    With every run that ends one asks for the time left, so what is left is kept and not added up anew.
    """

    def __init__(self, plan: Plan, works: Mapping[str, "_Work"] | None = None) -> None:
        self.plan = plan
        self.started = time.monotonic()
        self.running: dict[str, tuple[Run, Progress]] = {}
        """runs being distilled, by id"""
        self.failed: set[str] = set()
        self.finished: set[str] = set()
        self.retries = 0
        self.preparing: dict[str, Preparing] = {}
        """real images being prepared, by what they are called"""
        self.replicas: tuple[ReplicaStats, ...] = ()
        """as they were last"""
        self.distilled: set[str] = set()
        """evaluated or not"""
        if works is None:
            works = {work.run_id: work for work in (_Work.of(run, plan.sweep) for run in plan.runs)}
        self._works = works
        self.trainings_total = sum(work.trainings_total for work in self._works.values())
        """trainings that the evaluation of all runs takes"""
        self._trainings: defaultdict[str, set[_Training]] = defaultdict(set)
        """of runs that are not finished"""
        self._epochs: dict[str, dict[int, int]] = defaultdict(dict)
        self._experts_before: dict[str, int] = {}
        self._rates = _Rates()
        self._left: Counter[_Unit] = Counter()
        self._left_of: dict[str, Counter[_Unit]] = {}
        """what each run has in it, by id"""
        self._changed = set(self._works)
        """runs of which that is out of date"""

    def with_nothing_done(self) -> Self:
        """The same plan before the first event; what its runs take is not worked out again."""
        return type(self)(self.plan, self._works)

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Begun():
                self.finished |= {run.run_id for run in event.finished}
                self.distilled |= {run.run_id for run in event.distilled}
                self._experts_before = dict(event.experts)
                for run, evaluation_id, training in event.trainings:
                    self._trainings[run.run_id].add(_Training.of(evaluation_id, training))
                for look in event.looks:
                    self._trainings[look.run.run_id].add(_Training.of_look(look))
                self._changed.update(self._works)
            case ImagesPrepared(data, done, total):
                before = self.preparing.setdefault(data, Preparing(done, time.monotonic(), done, total))
                self.preparing[data] = before._replace(done=done)
            case ExpertEpoch(expert_set, expert, epoch):
                expert_set_id = expert_set.stored_id
                self._epochs[expert_set_id][expert] = epoch
                self._rates.ticked(_Unit.expert_epoch(expert_set), (expert_set_id, expert), epoch)
            case Retried():
                self.retries += 1
            case ReplicaHealth(stats):
                self.replicas = stats
            case RunProgressed() | RunDistilled() | LookTaken() | TrainingDone() | RunFinished() | RunFailed():
                self._add_of_run(event.run.run_id, event)

    def _add_of_run(
        self, run_id: str, event: RunProgressed | RunDistilled | LookTaken | TrainingDone | RunFinished | RunFailed
    ) -> None:
        work = self._works[run_id]
        self._changed.add(run_id)
        match event:
            case RunProgressed(run, progress):
                # It may come after the end of its distillation.
                if run_id not in self.distilled and run_id not in self.failed:
                    self.running[run_id] = (run, progress)
                self._rates.ticked(work.step, run_id, progress.step, progress.seconds)
            case RunDistilled():
                self.running.pop(run_id, None)
                self.distilled.add(run_id)
            case TrainingDone(_, evaluation_id, training):
                self._add_training(work, _Training.of(evaluation_id, training), training.seconds)
            case LookTaken():
                self._add_training(work, _Training.of_look(event), event.seconds)
            case RunFinished():
                self.finished.add(run_id)
                self._trainings.pop(run_id, None)
            case RunFailed():
                self.running.pop(run_id, None)
                self.failed.add(run_id)

    def _add_training(self, work: "_Work", training: "_Training", seconds: float) -> None:
        # It may come after the end of its run.
        if work.run_id not in self.finished:
            self._trainings[work.run_id].add(training)
        self._rates.took(work.trainings[training.evaluation_id, training.network].unit, 1, seconds)

    def experts(self, expert_set: ExpertSet) -> int:
        """Experts of a set that are there."""
        expert_set_id = expert_set.stored_id
        ended = (epoch == expert_set.experts.last_epoch for epoch in self._epochs[expert_set_id].values())
        return self._experts_before.get(expert_set_id, 0) + sum(ended)

    def expert_epochs(self, expert_set: ExpertSet) -> int:
        """Epochs that all experts of a set have made together."""
        expert_set_id = expert_set.stored_id
        before = self._experts_before.get(expert_set_id, 0) * expert_set.experts.last_epoch
        return before + sum(self._epochs[expert_set_id].values())

    @property
    def trainings_done(self) -> int:
        """Trainings that were made."""
        of_finished = sum(self._works[run_id].trainings_total for run_id in self.finished)
        return of_finished + sum(map(len, self._trainings.values()))

    def trainings_of(self, run: Run) -> int:
        """Trainings that the evaluation of a run takes."""
        return self._works[run.run_id].trainings_total

    def evaluating(self) -> Iterator[tuple[Run, int, int]]:
        """Runs being evaluated, with the trainings made and all of them."""
        under_way = self.distilled - self.finished - self.failed
        for run_id, work in self._works.items():
            if run_id in under_way:
                yield work.run, len(self._trainings.get(run_id, ())), work.trainings_total

    def seconds_left(self) -> float | None:
        """Time to the end at the measured rates, with as much going on at once as so far; None: too early to say."""
        if self._rates.total_seconds == 0:
            return None
        # What comes before the first unit of work, the start of processes say, does not come again.
        elapsed = time.monotonic() - self._rates.began
        if elapsed < _SURE_AFTER_SECONDS:
            return None
        return self.work_seconds_left * elapsed / self._rates.total_seconds

    @property
    def work_seconds_left(self) -> float:
        """Time to the end at the measured rates, one thing after another; 0: nothing is left, or was measured."""
        return self._rates.seconds(self._of_runs_left() + self._of_experts_left())

    def _of_runs_left(self) -> Counter["_Unit"]:
        """Steps and trainings left, of all runs."""
        for run_id in self._changed:
            self._left.subtract(self._left_of.get(run_id, {}))
            self._left_of[run_id] = self._left_now(run_id)
            self._left.update(self._left_of[run_id])
        self._changed.clear()
        return self._left

    def _left_now(self, run_id: str) -> Counter["_Unit"]:
        """Steps and trainings left of one run."""
        left: Counter[_Unit] = Counter()
        if run_id in self.finished or run_id in self.failed:
            return left
        work = self._works[run_id]
        if run_id not in self.distilled:
            made = self.running[run_id][1].step if run_id in self.running else 0
            left[work.step] += work.run.steps - made
        done = Counter((each.evaluation_id, each.network) for each in self._trainings.get(run_id, ()))
        for key, (unit, number) in work.trainings.items():
            left[unit] += number - done[key]
        return left

    def _of_experts_left(self) -> Counter["_Unit"]:
        """Epochs left, of the sets of experts that are still needed."""
        left: Counter[_Unit] = Counter()
        for expert_set in self.plan.expert_sets:
            wanted = expert_set.experts.count * expert_set.experts.last_epoch
            missing = wanted - self.expert_epochs(expert_set)
            if missing and self._is_needed(expert_set):
                left[_Unit.expert_epoch(expert_set)] += missing
        return left

    def _is_needed(self, expert_set: ExpertSet) -> bool:
        """Whether some run still needs it; a plan may be of experts alone, without a run that needs them."""
        return not self.plan.runs or any(
            expert_set.stored_id in (work.judges if run_id in self.distilled else work.expert_sets)
            for run_id, work in self._works.items()
            if run_id not in self.finished and run_id not in self.failed
        )


class Preparing(NamedTuple):
    """How far the preparation of real images is."""

    before: int
    """that were there when it began"""
    began: float
    done: int
    total: int

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None: too early to say."""
        elapsed = time.monotonic() - self.began
        if elapsed < _SURE_AFTER_SECONDS or self.done == self.before:
            return None
        return elapsed * (self.total - self.done) / (self.done - self.before)


class _Unit(NamedTuple):
    """A step, a training or an epoch: those that are equal take as long."""

    kind: str
    flops: float
    """estimated"""

    @classmethod
    def step(cls, run: Run) -> Self:
        """One of a run's distillation."""
        return cls(f"distil {run.algorithm.name} {run.space}", estimate(run, ()).distill_flops / max(run.steps, 1))

    @classmethod
    def expert_epoch(cls, expert_set: ExpertSet) -> Self:
        """One of one expert."""
        flops = expert_flops(expert_set) / expert_set.experts.count / expert_set.experts.last_epoch
        return cls(f"train experts {expert_set.network.key}", flops)


class _Trainings(NamedTuple):
    """Those of one network in one evaluation of a run."""

    unit: _Unit
    number: int


@dataclass(frozen=True)
class _Work:
    """What a run takes, worked out once."""

    run: Run
    run_id: str
    step: _Unit
    trainings: Mapping[tuple[str, str], _Trainings]
    """by the evaluation's id and the network's key"""
    expert_sets: tuple[str, ...]
    """ids of those needed until it is finished"""
    judges: tuple[str, ...]
    """those of them that are needed when it is distilled"""
    trainings_total: int
    """that its evaluation takes, looks too; one that looks leave but one set of takes fewer"""

    @classmethod
    def of(cls, run: Run, sweep: Sweep) -> Self:
        """The work of a run of a sweep."""
        trainings = {}
        for evaluation in sweep.evaluations:
            for network in evaluation.networks:
                unit = _Unit(f"evaluate {network.key}", training_flops(run, evaluation, network))
                number = evaluation.repeats * sets_in_full(run, evaluation)
                trainings[evaluation.content_id, network.key] = _Trainings(unit, number)
            if looking := evaluation.looking(run):
                for network in looking.networks:
                    unit = _Unit(f"look {network.key}", training_flops(run, looking, network, look=True))
                    number = looking.repeats * len(run.snapshot_steps)
                    trainings[looking.content_id, network.key] = _Trainings(unit, number)
        needed, judges = (
            tuple(each.stored_id for each in experts_needed(run, sweep, distilled)) for distilled in (False, True)
        )
        trainings_total = sum(each.number for each in trainings.values())
        return cls(run, run.run_id, _Unit.step(run), trainings, needed, judges, trainings_total)


class _Rates:
    """Seconds that an operation takes, by kind of work."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._flops: defaultdict[str, float] = defaultdict(float)
        self._last: dict[Hashable, tuple[int, float]] = {}
        self.began = math.inf
        """when the first of what was measured began, on this process's clock"""

    @property
    def total_seconds(self) -> float:
        """Measured so far, whatever went on at once."""
        return sum(self._seconds.values())

    def took(self, unit: _Unit, count: int, seconds: float) -> None:
        """Add a measurement of what has just ended."""
        self.began = min(self.began, time.monotonic() - seconds)
        self._seconds[unit.kind] += seconds
        self._flops[unit.kind] += count * unit.flops

    def ticked(self, unit: _Unit, what: Hashable, count: int, seconds: float | None = None) -> None:
        """Some unit has been done `count` times in all, now or at `seconds` on a clock of its own."""
        now = time.monotonic() if seconds is None else seconds
        before, then = self._last.get(what, (count, now))
        if count > before:
            self.took(unit, count - before, now - then)
        self._last[what] = (count, now)

    def seconds(self, units: Mapping[_Unit, int]) -> float:
        """Time for work of several kinds, one after another; a kind not seen yet is as fast as all others together."""
        mean = self.total_seconds / max(sum(self._flops.values()), 1.0)
        return sum(
            count * unit.flops * (self._seconds[unit.kind] / self._flops[unit.kind] if self._flops[unit.kind] else mean)
            for unit, count in units.items()
        )


class _Training(NamedTuple):
    """Which training it was."""

    evaluation_id: str
    network: str
    step: int
    repeat: int

    @classmethod
    def of(cls, evaluation_id: str, training: Training) -> Self:
        return cls(evaluation_id, training.network, training.step, training.repeat)

    @classmethod
    def of_look(cls, look: LookTaken) -> Self:
        return cls(look.evaluation_id, look.network.key, look.step, look.repeat)
