"""What a search does next: each way of a run to its next rung is a distillation, each rung an evaluation by network."""

from collections.abc import Iterable, Iterator
from typing import Any

from typing_extensions import override

from glad_ray.engine.jobs import DistillationJob, DriverJob, ExpertsJob, Job, LookJob
from glad_ray.engine.scheduler import Policy
from glad_ray.engine.search.study import Study, TrialRung
from glad_ray.engine.sweep_policy import ExpertsProgress
from glad_ray.plan import Plan
from glad_ray.progress.faults import Fault
from glad_ray.results import Look
from glad_ray.spec import Labels
from glad_ray.storage import Storage


class SearchPolicy(Policy):
    """Distils what a study names, and evaluates it; `plan` has the experts that any of its runs needs."""

    def __init__(self, study: Study, plan: Plan, storage: Storage) -> None:
        self.study, self._plan = study, plan
        self._experts = ExpertsProgress(plan.sweep, storage)
        self._rungs: dict[str, TrialRung] = {}
        """that are under way, by the ids of their runs"""
        self._distilling: set[str] = set()
        """ids of those of the runs that are being distilled"""
        self._evaluations: dict[str, dict[str, Look | Fault]] = {}
        """of runs that are being evaluated, by network"""
        self._awaiting: list[TrialRung] = []
        """whose experts are trained first"""

    @override
    def first(self) -> Iterable[Job]:
        return ()

    @override
    def more(self, room: int) -> Iterator[Job | DriverJob]:
        for rung in list(self._awaiting):
            if room and (startable := self._experts.startable(rung.run)) is not False:
                self._awaiting.remove(rung)
                if startable is True:
                    room -= 1
                    yield self._distillation(rung)
                else:
                    self.study.failed(rung, startable)
        # No more are drawn than there is room for, while as many wait for their experts or are evaluated: what is drawn
        # next follows from what those come to.
        at_most = room + len(self._distilling)
        while room > len(self._awaiting) and len(self._evaluations) < at_most:
            following = self.study.next()
            if following is None:
                return
            rung = following
            experts = None if rung.run.expert_set is None else self._plan.covering(rung.run.expert_set)
            if experts is not None and not self._experts.asked_for(experts):
                yield from self._experts.jobs(experts)
            startable = self._experts.startable(rung.run)
            if startable is True:
                room -= 1
                yield self._distillation(rung)
            elif startable is False:
                self._awaiting.append(rung)
            else:
                self.study.failed(rung, startable)

    @override
    def succeeded(self, job: Any, value: Any) -> Iterable[Job]:
        match job:
            case ExpertsJob():
                self._experts.trained(job)
            case DistillationJob(run):
                self._distilling.discard(run.run_id)
                rung = self._rungs[run.run_id]
                self._evaluations[run.run_id] = {}
                labels: Labels = "own" if run.soft_labels else "hard"
                return [LookJob(run, (rung.step,), labels, rung.evaluation, each) for each in rung.evaluation.networks]
            case LookJob():
                (look,) = value
                self._evaluated(job, look)
        return ()

    @override
    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[Job]:
        match job:
            case ExpertsJob():
                self._experts.failed(job, fault)
            case DistillationJob(run):
                self._distilling.discard(run.run_id)
                self.study.failed(self._rungs.pop(run.run_id), fault)
            case LookJob():
                self._evaluated(job, fault)
        return ()

    @override
    def interrupted(self, job: Any) -> None:
        match job:
            case DistillationJob(run):
                self._distilling.discard(run.run_id)
                self.study.given_back(self._rungs.pop(run.run_id))
            case LookJob():
                self._evaluated(job, Fault("ended before its time", "", "stopped"))

    def _distillation(self, rung: TrialRung) -> DistillationJob:
        self._rungs[rung.run.run_id] = rung
        self._distilling.add(rung.run.run_id)
        return DistillationJob(rung.run, rung.step)

    def _evaluated(self, job: LookJob, value: Look | Fault) -> None:
        run_id = job.run.run_id
        rung, evaluations = self._rungs[run_id], self._evaluations[run_id]
        evaluations[job.network.key] = value
        if len(evaluations) < len(rung.evaluation.networks):
            return
        del self._rungs[run_id], self._evaluations[run_id]
        faults = [each for each in evaluations.values() if isinstance(each, Fault)]
        if any(fault.kind == "stopped" for fault in faults):
            self.study.given_back(rung)
        elif faults:
            self.study.failed(rung, faults[0])
        else:
            found = {key: each for key, each in evaluations.items() if isinstance(each, Look)}
            self.study.seen(rung, found)
