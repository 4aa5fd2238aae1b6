"""How many jobs a GPU holds: before a sweep begins, the first steps of one of every kind are made there and measured.

Each is measured on a GPU of its own. Nothing of it is kept, and a job that lacks memory in spite of it is given more
(`ShareTable.grow`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from typing_extensions import override

from glad_ray.engine.jobs import DistillationJob, EvaluationJob, ExpertsJob, MeasurementJob, WorkClass
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.scheduler import Policy
from glad_ray.engine.shares import Measured, ShareTable
from glad_ray.progress.events import SharePacked
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.spec import Sweep


class PackingPolicy(Policy):
    """Measures every kind of job that is left and whose share is to be measured, and tells the shares."""

    def __init__(self, remaining: RemainingWork, sweep: Sweep, shares: ShareTable, view: View) -> None:
        self._shares, self._view = shares, view
        self._found: dict[WorkClass, Measured] = {}
        self._left = {
            each.work_class: MeasurementJob(each)
            for each in _jobs(remaining, sweep)
            if sweep.resources.share_of(each.work_class.unit, each.work_class.name).measured
        }

    @override
    def first(self) -> Iterable[MeasurementJob]:
        return list(self._left.values())

    @override
    def more(self, room: int) -> Iterable[MeasurementJob]:
        return ()

    @override
    def succeeded(self, job: Any, value: Any) -> Iterable[MeasurementJob]:
        if value is None:
            self._unmeasured(job, "GPUs are only counted")
        else:
            self._found[job.work_class] = value
        self._ended(job)
        return ()

    @override
    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[MeasurementJob]:
        self._unmeasured(job, fault.error)
        self._ended(job)
        return ()

    @override
    def interrupted(self, job: Any) -> None:
        self._ended(job)

    def _unmeasured(self, job: MeasurementJob, why: str) -> None:
        self._view.show(SharePacked(job.work_class.title, None, 1, why))

    def _ended(self, job: MeasurementJob) -> None:
        del self._left[job.work_class]
        if not self._left:
            for work_class, at_once in self._shares.pack(self._found).items():
                self._view.show(SharePacked(work_class.title, self._found[work_class].bytes, at_once))


def _jobs(remaining: RemainingWork, sweep: Sweep) -> Iterator[DistillationJob | EvaluationJob | ExpertsJob]:
    """A job of every kind that is left, some kinds several times."""
    for run in remaining.to_distill:
        yield DistillationJob(run)
    for run in (*remaining.to_distill, *remaining.to_evaluate):
        for evaluation in sweep.evaluations:
            for network in evaluation.networks:
                yield EvaluationJob(run, evaluation, network)
    for each in remaining.expert_sets:
        yield ExpertsJob(each, tuple(range(each.experts.count)))
