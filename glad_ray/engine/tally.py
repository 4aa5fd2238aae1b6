"""What is done of a plan, what is left of it, and how long that takes at the rates measured so far."""

import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple

from glad_ray.engine.events import (
    Begun,
    Event,
    ExpertEpoch,
    ImagesPrepared,
    ReplicaHealth,
    Retried,
    RunDistilled,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.engine.replica.stats import ReplicaStats
from glad_ray.plan import Plan, experts_needed
from glad_ray.plan.cost import estimate, evaluate_flops, expert_flops
from glad_ray.results import Progress, Training
from glad_ray.spec import Evaluation, ExpertSet, Network, Run

_SURE_AFTER_SECONDS = 5.0


class Tally:
    """Counts events.

    Estimated operations weigh units of work of one kind against one another; measured times turn them into seconds.
    """

    def __init__(self, plan: Plan) -> None:
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
        self._evaluations = {each.content_id: each for each in plan.sweep.evaluations}
        self._trainings: dict[str, set[_Training]] = defaultdict(set)
        self._epochs: dict[str, dict[int, int]] = defaultdict(dict)
        self._experts_before: dict[str, int] = {}
        self._rates = _Rates()
        self._step_flops = {
            run.run_id: estimate(run, plan.sweep.evaluations).distill_flops / max(run.steps, 1) for run in plan.runs
        }

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Begun():
                self.finished |= {run.run_id for run in event.finished}
                self.distilled |= {run.run_id for run in event.distilled}
                self._experts_before = dict(event.experts)
                for run, evaluation_id, training in event.trainings:
                    self._trainings[run.run_id].add(_Training.of(evaluation_id, training))
            case ImagesPrepared(data, done, total):
                before = self.preparing.setdefault(data, Preparing(done, time.monotonic(), done, total))
                self.preparing[data] = before._replace(done=done)
            case ExpertEpoch(expert_set, expert, epoch):
                self._epochs[expert_set.content_id][expert] = epoch
                self._rates.ticked(_training_experts(expert_set), (expert_set, expert), _epoch_flops(expert_set), epoch)
            case RunProgressed(run, progress):
                self.running[run.run_id] = (run, progress)
                flops = self._step_flops[run.run_id]
                self._rates.ticked(_distilling(run), run, flops, progress.step, progress.seconds)
            case RunDistilled(run):
                self.running.pop(run.run_id, None)
                self.distilled.add(run.run_id)
            case TrainingDone(run, evaluation_id, training):
                self._trainings[run.run_id].add(_Training.of(evaluation_id, training))
                evaluation = self._evaluations[evaluation_id]
                network = next(each for each in evaluation.networks if each.key == training.network)
                self._rates.took(_evaluating(network), _training_flops(run, evaluation, network), training.seconds)
            case RunFinished(run):
                self.finished.add(run.run_id)
            case RunFailed(run):
                self.running.pop(run.run_id, None)
                self.failed.add(run.run_id)
            case Retried():
                self.retries += 1
            case ReplicaHealth(stats):
                self.replicas = stats

    def experts(self, expert_set: ExpertSet) -> int:
        """Experts of a set that are there."""
        ended = (epoch == expert_set.experts.last_epoch for epoch in self._epochs[expert_set.content_id].values())
        return self._experts_before.get(expert_set.content_id, 0) + sum(ended)

    def expert_epochs(self, expert_set: ExpertSet) -> int:
        """Epochs that all experts of a set have made together."""
        before = self._experts_before.get(expert_set.content_id, 0) * expert_set.experts.last_epoch
        return before + sum(self._epochs[expert_set.content_id].values())

    @property
    def trainings_total(self) -> int:
        """Trainings that the evaluation of all runs takes."""
        return sum(self.trainings_of(run) for run in self.plan.runs)

    @property
    def trainings_done(self) -> int:
        """Trainings that were made."""
        return sum(
            self.trainings_of(run) if run.run_id in self.finished else len(self._trainings[run.run_id])
            for run in self.plan.runs
        )

    def evaluating(self) -> Iterator[tuple[Run, int, int]]:
        """Runs being evaluated, with the trainings made and all of them."""
        for run in self.plan.runs:
            if run.run_id in self.distilled - self.finished - self.failed:
                yield run, len(self._trainings[run.run_id]), self.trainings_of(run)

    def seconds_left(self) -> float | None:
        """Time to the end at the measured rates, with as much going on at once as so far; None: too early to say."""
        elapsed = time.monotonic() - self.started
        if elapsed < _SURE_AFTER_SECONDS or self._rates.total_seconds == 0:
            return None
        return self.work_seconds_left * elapsed / self._rates.total_seconds

    @property
    def work_seconds_left(self) -> float:
        """Time to the end at the measured rates, one thing after another; 0: nothing is left, or was measured."""
        return self._rates.seconds(self._flops_left())

    def _flops_left(self) -> dict[str, float]:
        """Estimated operations left, by kind of work."""
        left: defaultdict[str, float] = defaultdict(float)
        runs = [run for run in self.plan.runs if run.run_id not in self.finished | self.failed]
        of_runs = {each for run in runs for each in self._experts_needed(run)}
        needed = of_runs if self.plan.runs else set(self.plan.expert_sets)
        for expert_set in self.plan.expert_sets:
            if expert_set not in needed:
                continue
            epochs = expert_set.experts.count * expert_set.experts.last_epoch - self.expert_epochs(expert_set)
            left[_training_experts(expert_set)] += epochs * _epoch_flops(expert_set)
        for run in runs:
            if run.run_id not in self.distilled:
                made = self.running[run.run_id][1].step if run.run_id in self.running else 0
                left[_distilling(run)] += (run.steps - made) * self._step_flops[run.run_id]
            done = Counter((each.evaluation_id, each.network) for each in self._trainings[run.run_id])
            for evaluation in self.plan.sweep.evaluations:
                for network in evaluation.networks:
                    wanted = evaluation.repeats * len(run.snapshot_steps)
                    missing = wanted - done[evaluation.content_id, network.key]
                    left[_evaluating(network)] += missing * _training_flops(run, evaluation, network)
        return left

    def _experts_needed(self, run: Run) -> tuple[ExpertSet, ...]:
        return experts_needed(run, self.plan.sweep, distilled=run.run_id in self.distilled)

    def trainings_of(self, run: Run) -> int:
        """Trainings that the evaluation of a run takes."""
        a_step = sum(len(each.networks) * each.repeats for each in self.plan.sweep.evaluations)
        return a_step * len(run.snapshot_steps)


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


class _Rates:
    """Seconds that an operation takes, by kind of work."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._flops: defaultdict[str, float] = defaultdict(float)
        self._last: dict[Hashable, tuple[int, float]] = {}

    @property
    def total_seconds(self) -> float:
        """Measured so far, whatever went on at once."""
        return sum(self._seconds.values())

    def took(self, kind: str, flops: float, seconds: float) -> None:
        """Add a measurement."""
        self._seconds[kind] += seconds
        self._flops[kind] += flops

    def ticked(self, kind: str, what: Hashable, flops: float, count: int, seconds: float | None = None) -> None:
        """Something of `flops` a time has been done `count` times in all, now or at `seconds` on a clock of its own."""
        now = time.monotonic() if seconds is None else seconds
        before, then = self._last.get(what, (count, now))
        if count > before:
            self.took(kind, (count - before) * flops, now - then)
        self._last[what] = (count, now)

    def seconds(self, flops: Mapping[str, float]) -> float:
        """Time for work of several kinds, one after another; a kind not seen yet is as fast as all others together."""
        mean = self.total_seconds / max(sum(self._flops.values()), 1.0)
        return sum(
            count * (self._seconds[kind] / self._flops[kind] if self._flops[kind] else mean)
            for kind, count in flops.items()
        )


class _Training(NamedTuple):
    """Which training it was."""

    evaluation_id: str
    network: str
    step: int
    repeat: int

    @classmethod
    def of(cls, evaluation_id: str, training: Training) -> "_Training":
        return cls(evaluation_id, training.network, training.step, training.repeat)


def _training_flops(run: Run, evaluation: Evaluation, network: Network) -> float:
    one = evaluate_flops(run, evaluation.replace(networks=(network,)))
    return one / evaluation.repeats / len(run.snapshot_steps)


def _training_experts(expert_set: ExpertSet) -> str:
    return f"train experts {expert_set.network.key}"


def _distilling(run: Run) -> str:
    return f"distil {run.algorithm.name} {run.space}"


def _evaluating(network: Network) -> str:
    return f"evaluate {network.key}"


def _epoch_flops(expert_set: ExpertSet) -> float:
    return expert_flops(expert_set) / expert_set.experts.count / expert_set.experts.last_epoch
