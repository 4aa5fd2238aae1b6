"""How far a sweep is, in the words and rows of its views."""

import math
import time
from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text
from typing_extensions import override

from glad_ray.plan import Plan
from glad_ray.progress import formatting
from glad_ray.progress.events import (
    Begun,
    ClusterJoined,
    Ending,
    Event,
    ExpertEpoch,
    ImagesPrepared,
    Retried,
    RunDistilled,
    RunFailed,
    RunFinished,
    SharePacked,
    TrackerFailed,
    Waiting,
)
from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.progress.sweep_progress import Preparing, SweepProgress
from glad_ray.progress.view import Reporter, View, bar, view_of
from glad_ray.results import Progress
from glad_ray.spec import ExpertSet, Run
from glad_ray.spec.generators import GIB

_STYLES: Mapping[type[Event], str] = {RunFailed: "red", SharePacked: "", ClusterJoined: ""}
"""of notices, where they are not yellow"""
_SHOWN_REPLICAS = 4


def make_view(plan: Plan) -> View:
    """The view of a sweep."""
    return view_of(SweepReporter(plan))


class SweepReporter(Reporter):
    """A `Reporter` of a plan, with a line for every run that is distilled, finished or failed."""

    def __init__(self, plan: Plan) -> None:
        self.sweep_progress = SweepProgress(plan)
        self._shared = SharedReporter(self.sweep_progress)

    @override
    def add(self, event: Event) -> None:
        self.sweep_progress.add(event)

    @override
    def line(self, event: Event) -> str | None:
        match event:
            case Begun(finished) if finished:
                return f"{len(finished)} of {len(self.sweep_progress.plan.runs)} runs are finished already"
            case RunDistilled(run):
                return f"distilled  {run.label}"
            case RunFinished(run):
                return f"finished   {run.label}{formatting.left(self.sweep_progress.seconds_left())}"
            case RunFailed(run, failure):
                return f"failed     {run.label} {formatting.of_failure(failure)}"
            case _:
                return self._shared.line(event)

    @override
    def notice(self, event: Event) -> Text | None:
        line = self.line(event) if isinstance(event, RunFailed) else notice(event)
        return Text(line, style=_STYLES.get(type(event), "yellow")) if line else None

    @override
    def head(self) -> Text:
        parts = [
            *formatting.counts(self.sweep_progress),
            formatting.clock(time.monotonic() - self.sweep_progress.started),
        ]
        return Text.from_markup("  ".join(parts) + formatting.left(self.sweep_progress.seconds_left()))

    @override
    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        yield from self._shared.rows()
        for run, progress in self.sweep_progress.running.values():
            yield of_distillation(run, progress)
        for run, done, total in self.sweep_progress.evaluating():
            yield escape(run.label), bar(done, total), formatting.of_trainings(done, total), ""

    @override
    def going_on(self) -> Iterator[str]:
        yield from self._shared.going_on()
        for run, now in self.sweep_progress.running.values():
            yield f"{run.label}: {formatting.of_steps(now)}"

    @override
    def summary(self) -> str | None:
        sweep_progress = self.sweep_progress
        if not sweep_progress.plan.runs:
            return None
        parts = [f"{len(sweep_progress.finished)} of {len(sweep_progress.plan.runs)} runs finished"]
        if waiting := sweep_progress.distilled - sweep_progress.finished - sweep_progress.failed:
            parts.append(f"{len(waiting)} distilled")
        if sweep_progress.failed:
            parts.append(f"{len(sweep_progress.failed)} failed")
        if sweep_progress.retries:
            parts.append(f"{sweep_progress.retries} retried")
        took = f", in {formatting.clock(time.monotonic() - sweep_progress.started)}"
        return ", ".join(parts) + took + formatting.left(sweep_progress.seconds_left()).replace("  ", ", ")


class SharedReporter:
    """What runs share, be they of a sweep or of a search: images, experts, replicas."""

    def __init__(self, sweep_progress: SweepProgress) -> None:
        self.sweep_progress = sweep_progress
        self._whole: set[ExpertSet] = set()

    def line(self, event: Event) -> str | None:
        """What plain output says of an event; None: nothing."""
        match event:
            case ImagesPrepared(data, done, total) if done == total:
                return f"prepared   {data}: {total:,} images"
            case ExpertEpoch(each) if (
                self.sweep_progress.experts(each) == each.experts.count and each not in self._whole
            ):
                self._whole.add(each)
                return f"trained    {each.label}"
            case _:
                return notice(event)

    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        """What is going on, for a table."""
        for data, now in self._preparing:
            left = formatting.left(now.seconds_left).strip()
            yield escape(data), bar(now.done, now.total), f"image {now.done}/{now.total}", left
        for each in self.sweep_progress.plan.expert_sets:
            epochs, total = self.sweep_progress.expert_epochs(each), each.experts.count * each.experts.last_epoch
            if 0 < epochs < total:
                yield escape(each.label), bar(epochs, total), f"epoch {epochs}/{total}", ""
        for replica in self._replicas:
            yield (
                escape(formatting.of_replica(replica)),
                "",
                formatting.of_requests(replica),
                formatting.of_memory(replica),
            )

    def going_on(self) -> Iterator[str]:
        """The same, in words."""
        for data, now in self._preparing:
            yield f"{data}: {now.done}/{now.total} images{formatting.left(now.seconds_left)}"
        for each in self._replicas:
            yield f"{formatting.of_replica(each)}: {formatting.of_requests(each)}, {formatting.of_memory(each)}"

    @property
    def _preparing(self) -> list[tuple[str, Preparing]]:
        return [(data, now) for data, now in self.sweep_progress.preparing.items() if now.done < now.total]

    @property
    def _replicas(self) -> list[ReplicaStats]:
        """Those with most to do, where a cluster has many."""
        return sorted(self.sweep_progress.replicas, key=lambda each: -each.waiting)[:_SHOWN_REPLICAS]


def of_distillation(run: Run, progress: Progress) -> tuple[RenderableType, ...]:
    """A row of a run that is being distilled."""
    steps = bar(progress.step, progress.steps)
    return escape(run.label), steps, formatting.of_steps(progress), formatting.of_loss(progress)


def notice(event: Event) -> str | None:
    """What is said in any view of what goes wrong, and of the cluster, budgets and shares; None: nothing."""
    match event:
        case ClusterJoined(address, machines, cpus, gpus):
            of_them = "1 machine" if machines == 1 else f"{machines} machines"
            return f"joined     the Ray cluster at {address}: {of_them} with {cpus:g} CPUs and {gpus:g} GPUs by now"
        case Waiting(what, seconds, at_most, why):
            bound = "" if math.isinf(at_most) else f" and at most {at_most:.0f}"
            return f"waiting    for {what}, {seconds:.0f} seconds so far{bound}: {why}"
        case Retried(what, error):
            return f"again      {what}: {error}"
        case SharePacked(what, None, _, unmeasured):
            return f"packed     {what}: a whole GPU each ({unmeasured})"
        case SharePacked(what, size, at_once) if size is not None:
            return f"packed     {what}: {size / GIB:.1f} GiB, {at_once} on a GPU"
        case TrackerFailed(tracker, why):
            return (
                f"untracked  {tracker}: {why}; the sweep goes on, and what is missing is sent when it is possible again"
            )
        case Ending(budget):
            ended = formatting.spent(budget)
            return f"ending     {ended}: nothing new is started, and distillations are kept at their step"
        case _:
            return None
