"""What a sweep does next: experts first, runs in the plan's order as soon as their experts are trained, each evaluated
by every network as soon as it is distilled.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from typing_extensions import override

from glad_ray.engine.jobs import DistillationJob, DriverJob, EvaluationJob, ExpertsJob, Job, LookJob
from glad_ray.engine.remaining import RemainingWork, Stage, fault_of_networks, record_failure
from glad_ray.engine.scheduler import Policy
from glad_ray.errors import GladRayError
from glad_ray.experts import missing_groups
from glad_ray.plan import experts_needed
from glad_ray.progress.events import RunDistilled, RunFinished
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.results import clear_failure
from glad_ray.spec import Evaluation, ExpertSet, Labels, Network, Run, Sweep
from glad_ray.storage import Storage

Finish = Callable[[str, Run, Evaluation, Storage], None]
"""Writes the rows of a run that every network of an evaluation has scored; takes the sweep's name."""


class ExpertsProgress:
    """Which sets of experts are trained, and which have failed."""

    def __init__(self, sweep: Sweep, storage: Storage) -> None:
        self.faults: dict[str, Fault] = {}
        """by the ids of sets"""
        self._sweep, self._storage = sweep, storage
        self._missing: Counter[str] = Counter()
        """jobs that have not succeeded, by the ids of sets"""

    def jobs(self, expert_set: ExpertSet) -> list[ExpertsJob]:
        """The training of those experts of a set that are missing."""
        groups = missing_groups(self._storage, expert_set, self._sweep.resources.experts_together)
        self._missing[expert_set.stored_id] = len(groups)
        return [ExpertsJob(expert_set, tuple(indices)) for indices in groups]

    def asked_for(self, expert_set: ExpertSet) -> bool:
        """Whether `jobs` was called for a set."""
        return expert_set.stored_id in self._missing

    def trained(self, job: ExpertsJob) -> bool:
        """Take notice of the end of a job; returns whether its set is whole."""
        self._missing[job.expert_set.stored_id] -= 1
        return not self._missing[job.expert_set.stored_id]

    def failed(self, job: ExpertsJob, fault: Fault) -> None:
        """Take notice of a failure for good."""
        self.faults.setdefault(job.expert_set.stored_id, fault)

    def startable(self, run: Run, distilled: bool = False) -> Fault | bool:
        """Whether the experts that a run needs are trained; what went wrong with them, if something did."""
        needed = [each.stored_id for each in experts_needed(run, self._sweep, distilled)]
        fault = next((self.faults[each] for each in needed if each in self.faults), None)
        return not any(self._missing[each] for each in needed) if fault is None else fault


class RunLooks:
    """Looks at one run, which are taken while it is distilled: for each network one job at a time, at all sets that
    were kept since its last.
    """

    def __init__(self, run: Run, looking: Evaluation, labels: Labels) -> None:
        self._run, self._looking, self._labels = run, looking, labels
        self._kept = 0
        """how many of the steps of which a set is kept were reached"""
        self._looked_at = {network.key: 0 for network in looking.networks}
        """so many of them, by network; all, where a look has failed"""
        self._under_way: dict[str, int] = {}
        """to how many of them the job of a network goes"""

    @property
    def ended(self) -> bool:
        """Whether none is left."""
        return set(self._looked_at.values()) == {len(self._run.snapshot_steps)}

    def due(self, step: int) -> Iterator[LookJob]:
        """Those that can begin when a step was made."""
        self._kept = max(self._kept, sum(each <= step for each in self._run.snapshot_steps))
        return self._begin()

    def taken(self, job: LookJob, failed: bool) -> Iterator[LookJob]:
        """Take notice of the end of a job; what can begin then."""
        upto = self._under_way.pop(job.network.key)
        self._looked_at[job.network.key] = len(self._run.snapshot_steps) if failed else upto
        return self._begin()

    def _begin(self) -> Iterator[LookJob]:
        for network in self._looking.networks:
            done = self._looked_at[network.key]
            if network.key not in self._under_way and done < self._kept:
                self._under_way[network.key] = self._kept
                steps = self._run.snapshot_steps[done : self._kept]
                yield LookJob(self._run, steps, self._labels, self._looking, network)


def _in_full(run: Run, evaluation: Evaluation) -> list[EvaluationJob]:
    return [EvaluationJob(run, evaluation, network) for network in evaluation.networks]


class SweepPolicy(Policy):
    """Everything that is left of a sweep. `finish` writes rows; None: runs are only distilled."""

    def __init__(
        self, remaining: RemainingWork, sweep: Sweep, storage: Storage, view: View, finish: Finish | None
    ) -> None:
        self.experts = ExpertsProgress(sweep, storage)
        self._to_evaluate = list(remaining.to_evaluate) if finish else []
        self._unsettled = {run.run_id for run in (*remaining.to_distill, *self._to_evaluate)}
        """ids of runs that are neither finished nor failed"""
        self._experts_left = bool(remaining.expert_sets)
        """whether some experts were not begun, or were ended before their time"""
        self._remaining, self._sweep, self._storage, self._view, self._finish = remaining, sweep, storage, view, finish
        self._to_distill = {run.run_id: run for run in remaining.to_distill}
        self._awaiting: set[str] = set()
        """ids of those whose experts are not trained yet"""
        self._runs = {run.run_id: run for run in (*remaining.to_distill, *remaining.to_evaluate)}
        self._looks: defaultdict[str, dict[str, RunLooks]] = defaultdict(dict)
        """by the ids of runs, then by those of what looks at them"""
        self._after_looks: defaultdict[tuple[str, str], list[Evaluation]] = defaultdict(list)
        self._failed_looks: set[tuple[str, str]] = set()
        self._networks_left: Counter[str] = Counter()
        self._network_faults: defaultdict[str, list[tuple[Network, Fault]]] = defaultdict(list)

    @property
    def unfinished(self) -> bool:
        """Whether something is left that has not failed."""
        return bool(self._unsettled) or self._experts_left

    @override
    def first(self) -> Iterator[Job | DriverJob]:
        self._experts_left = False
        for expert_set in self._remaining.expert_sets:
            yield from self.experts.jobs(expert_set)
        for run in self._to_evaluate:
            clear_failure(self._storage, run.run_id)
        yield from self._evaluate_startable()

    @override
    def more(self, room: int) -> Iterator[Job | DriverJob]:
        for run_id, run in list(self._to_distill.items()):
            if not room:
                return
            if run_id in self._awaiting:
                continue
            startable = self.experts.startable(run)
            if startable is False:
                self._awaiting.add(run_id)
                continue
            del self._to_distill[run_id]
            if startable is True:
                room -= 1
                yield DistillationJob(run)
            else:
                yield self._failure(run, "experts", startable)

    @override
    def reached(self, run: Run, step: int) -> Iterator[Job | DriverJob]:
        for evaluation in self._sweep.evaluations if self._finish else ():
            if looking := evaluation.looking(run):
                yield from self._looks_of(run, evaluation, looking).due(step)

    @override
    def succeeded(self, job: Any, value: Any) -> Iterable[Job | DriverJob]:
        match job:
            case ExpertsJob():
                if not self.experts.trained(job):
                    return ()
                self._awaiting.clear()
                return self._evaluate_startable()
            case DistillationJob(run):
                self._view.show(RunDistilled(run))
                if self._finish is None:
                    self._unsettled.discard(run.run_id)
                    return ()
                self._to_evaluate.append(run)
                return self._evaluate_startable()
            case LookJob():
                return self._looked(job, None)
            case EvaluationJob(run, _, network):
                return self._evaluated(run, network, None)
        return ()

    @override
    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[Job | DriverJob]:
        match job:
            case ExpertsJob():
                self.experts.failed(job, fault)
                self._awaiting.clear()
                return self._evaluate_startable()
            case DistillationJob(run):
                return [self._failure(run, "distill", fault, step)]
            case LookJob():
                return self._looked(job, fault)
            case EvaluationJob(run, _, network):
                return self._evaluated(run, network, fault)
            case DriverJob(_, ("results", run_id)):
                return [self._failure(self._runs[run_id], "evaluate", fault)]
        raise GladRayError(f"The {job.label} could not be written: {fault.error}.")

    @override
    def interrupted(self, job: Any) -> None:
        self._experts_left |= isinstance(job, ExpertsJob)

    def _evaluate_startable(self) -> list[Job | DriverJob]:
        """Evaluate the distilled runs whose experts, if they need any, are trained."""
        states = [(run, self.experts.startable(run, distilled=True)) for run in self._to_evaluate]
        self._to_evaluate = [run for run, startable in states if startable is False]
        jobs: list[Job | DriverJob] = []
        for run, startable in states:
            if startable is True:
                jobs += self._evaluations(run)
            elif isinstance(startable, Fault):
                jobs.append(self._failure(run, "experts", startable))
        return jobs

    def _evaluations(self, run: Run) -> list[Job | DriverJob]:
        """Those of all networks, or first the looks that choose what is evaluated."""
        jobs: list[Job | DriverJob] = []
        self._networks_left[run.run_id] = sum(len(evaluation.networks) for evaluation in self._sweep.evaluations)
        for evaluation in self._sweep.evaluations:
            looking = evaluation.looking(run)
            if looking is None:
                jobs += _in_full(run, evaluation)
                continue
            looks = self._looks_of(run, evaluation, looking)
            jobs += looks.due(run.steps)
            self._after_looks[run.run_id, looking.content_id].append(evaluation)
            if looks.ended:
                jobs += self._after(run, looking)
        return jobs

    def _looks_of(self, run: Run, evaluation: Evaluation, looking: Evaluation) -> RunLooks:
        labels: Labels = "own" if evaluation.labels_of(run) == "own" else "hard"
        return self._looks[run.run_id].setdefault(looking.content_id, RunLooks(run, looking, labels))

    def _looked(self, job: LookJob, fault: Fault | None) -> list[Job | DriverJob]:
        """Look at what was kept meanwhile, or evaluate in full after the last of a run's looks."""
        run, looking = job.run, job.evaluation
        if fault is not None:
            self._network_faults[run.run_id].append((job.network, fault))
            self._failed_looks.add((run.run_id, looking.content_id))
        looks = self._looks[run.run_id][looking.content_id]
        jobs: list[Job | DriverJob] = [*looks.taken(job, failed=fault is not None)]
        return jobs + self._after(run, looking) if looks.ended else jobs

    def _after(self, run: Run, looking: Evaluation) -> list[Job | DriverJob]:
        """The evaluations in full that waited for looks, unless one of these has failed."""
        key = run.run_id, looking.content_id
        evaluations = self._after_looks.pop(key, [])
        if key not in self._failed_looks:
            return [each for evaluation in evaluations for each in _in_full(run, evaluation)]
        # Nothing waits where the run is still distilled.
        return self._ended(run, sum(len(evaluation.networks) for evaluation in evaluations)) if evaluations else []

    def _evaluated(self, run: Run, network: Network, fault: Fault | None) -> list[Job | DriverJob]:
        if fault is not None:
            self._network_faults[run.run_id].append((network, fault))
        return self._ended(run, 1)

    def _ended(self, run: Run, networks: int) -> list[Job | DriverJob]:
        """Write the rows of a run that has all its networks, or why it has not."""
        self._networks_left[run.run_id] -= networks
        if self._networks_left[run.run_id]:
            return []
        if faults := self._network_faults[run.run_id]:
            return [self._failure(run, "evaluate", fault_of_networks(faults))]
        return [DriverJob(f"results of {run.label}", ("results", run.run_id), partial(self._write_rows, run))]

    def _write_rows(self, run: Run) -> None:
        assert self._finish is not None, "evaluated runs have rows"
        for evaluation in self._sweep.evaluations:
            self._finish(self._sweep.name, run, evaluation, self._storage)
        self._unsettled.discard(run.run_id)
        self._view.show(RunFinished(run))

    def _failure(self, run: Run, stage: Stage, fault: Fault, step: int | None = None) -> DriverJob:
        self._unsettled.discard(run.run_id)
        record = partial(record_failure, run, stage, fault, self._storage, self._view, step)
        return DriverJob(f"record of the failure of {run.label}", ("failure", run.run_id), record)
