"""How far a sweep is, in the words and rows of its views."""

import time
from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from glad_ray.engine import words
from glad_ray.engine.events import (
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
    Waiting,
)
from glad_ray.engine.replica.stats import ReplicaStats
from glad_ray.engine.tally import Preparing, Tally
from glad_ray.engine.view import View, bar, view_of
from glad_ray.plan import Plan
from glad_ray.results import Progress
from glad_ray.spec import ExpertSet, Run
from glad_ray.spec.generators import GIB

_STYLES: Mapping[type[Event], str] = {RunFailed: "red", SharePacked: "", ClusterJoined: ""}
"""of notices, where they are not yellow"""
_SHOWN_REPLICAS = 4


def make_view(plan: Plan) -> View:
    """The view of a sweep."""
    return view_of(SweepAccount(plan))


class SweepAccount:
    """An `Account` of a plan, with a line for every run that is distilled, finished or failed."""

    def __init__(self, plan: Plan) -> None:
        self.tally = Tally(plan)
        self._shared = SharedAccount(self.tally)

    def add(self, event: Event) -> None:
        """See `Account`."""
        self.tally.add(event)

    def line(self, event: Event) -> str | None:
        """See `Account`."""
        match event:
            case Begun(finished) if finished:
                return f"{len(finished)} of {len(self.tally.plan.runs)} runs are finished already"
            case RunDistilled(run):
                return f"distilled  {run.label}"
            case RunFinished(run):
                return f"finished   {run.label}{words.left(self.tally.seconds_left())}"
            case RunFailed(run, failure):
                return f"failed     {run.label} {words.of_failure(failure)}"
            case _:
                return self._shared.line(event)

    def notice(self, event: Event) -> Text | None:
        """See `Account`."""
        line = self.line(event) if isinstance(event, RunFailed) else notice(event)
        return Text(line, style=_STYLES.get(type(event), "yellow")) if line else None

    def head(self) -> Text:
        """See `Account`."""
        parts = [*words.counts(self.tally), words.clock(time.monotonic() - self.tally.started)]
        return Text.from_markup("  ".join(parts) + words.left(self.tally.seconds_left()))

    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        """See `Account`."""
        yield from self._shared.rows()
        for run, progress in self.tally.running.values():
            yield of_distillation(run, progress)
        for run, done, total in self.tally.evaluating():
            yield escape(run.label), bar(done, total), words.of_trainings(done, total), ""

    def going_on(self) -> Iterator[str]:
        """See `Account`."""
        yield from self._shared.going_on()
        for run, now in self.tally.running.values():
            yield f"{run.label}: {words.of_steps(now)}"

    def summary(self) -> str | None:
        """See `Account`."""
        tally = self.tally
        if not tally.plan.runs:
            return None
        parts = [f"{len(tally.finished)} of {len(tally.plan.runs)} runs finished"]
        if waiting := tally.distilled - tally.finished - tally.failed:
            parts.append(f"{len(waiting)} distilled")
        if tally.failed:
            parts.append(f"{len(tally.failed)} failed")
        if tally.retries:
            parts.append(f"{tally.retries} retried")
        took = f", in {words.clock(time.monotonic() - tally.started)}"
        return ", ".join(parts) + took + words.left(tally.seconds_left()).replace("  ", ", ")


class SharedAccount:
    """What runs share, be they of a sweep or of a search: images, experts, replicas."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._whole: set[ExpertSet] = set()

    def line(self, event: Event) -> str | None:
        """See `Account`."""
        match event:
            case ImagesPrepared(data, done, total) if done == total:
                return f"prepared   {data}: {total:,} images"
            case ExpertEpoch(each) if self.tally.experts(each) == each.experts.count and each not in self._whole:
                self._whole.add(each)
                return f"trained    {each.label}"
            case _:
                return notice(event)

    def rows(self) -> Iterator[tuple[RenderableType, ...]]:
        """See `Account`."""
        for data, now in self._preparing:
            left = words.left(now.seconds_left).strip()
            yield escape(data), bar(now.done, now.total), f"image {now.done}/{now.total}", left
        for each in self.tally.plan.expert_sets:
            epochs, total = self.tally.expert_epochs(each), each.experts.count * each.experts.last_epoch
            if 0 < epochs < total:
                yield escape(each.label), bar(epochs, total), f"epoch {epochs}/{total}", ""
        for replica in self._replicas:
            yield escape(words.of_replica(replica)), "", words.of_requests(replica), words.of_memory(replica)

    def going_on(self) -> Iterator[str]:
        """See `Account`."""
        for data, now in self._preparing:
            yield f"{data}: {now.done}/{now.total} images{words.left(now.seconds_left)}"
        for each in self._replicas:
            yield f"{words.of_replica(each)}: {words.of_requests(each)}, {words.of_memory(each)}"

    @property
    def _preparing(self) -> list[tuple[str, Preparing]]:
        return [(data, now) for data, now in self.tally.preparing.items() if now.done < now.total]

    @property
    def _replicas(self) -> list[ReplicaStats]:
        """Those with most to do, where a cluster has many."""
        return sorted(self.tally.replicas, key=lambda each: -each.waiting)[:_SHOWN_REPLICAS]


def of_distillation(run: Run, progress: Progress) -> tuple[RenderableType, ...]:
    """A row of a run that is being distilled."""
    steps = bar(progress.step, progress.steps)
    return escape(run.label), steps, words.of_steps(progress), words.of_loss(progress)


def notice(event: Event) -> str | None:
    """What is said in any view of what goes wrong, and of the cluster, budgets and shares; None: nothing."""
    match event:
        case ClusterJoined(address, machines, cpus, gpus):
            of_them = "1 machine" if machines == 1 else f"{machines} machines"
            return f"joined     the Ray cluster at {address}: {of_them} with {cpus:g} CPUs and {gpus:g} GPUs by now"
        case Waiting(what, seconds, at_most, why):
            return f"waiting    for {what}, {seconds:.0f} seconds so far and at most {at_most:.0f}: {why}"
        case Retried(what, error):
            return f"again      {what}: {error}"
        case SharePacked(what, None, _, unmeasured):
            return f"packed     {what}: a whole GPU each ({unmeasured})"
        case SharePacked(what, size, at_once) if size is not None:
            return f"packed     {what}: {size / GIB:.1f} GiB, {at_once} on a GPU"
        case Ending(budget):
            return f"ending     {words.spent(budget)}: nothing new is started, and distillations are kept at their step"
        case _:
            return None
