"""What is seen of a sweep while it goes on: a live table on a terminal, plain lines elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from glad_ray.engine import words
from glad_ray.engine.events import (
    Begun,
    Ending,
    Event,
    ExpertEpoch,
    ImagesPrepared,
    Retried,
    RunDistilled,
    RunFailed,
    RunFinished,
    SharePacked,
)
from glad_ray.engine.replica.stats import ReplicaStats
from glad_ray.engine.tally import Preparing, Tally
from glad_ray.plan import Plan
from glad_ray.spec import ExpertSet
from glad_ray.spec.generators import GIB

_SILENT_SECONDS = 60.0
_STYLES: Mapping[type[Event], str] = {RunFailed: "red", SharePacked: ""}
"""of lines, where they are not yellow"""
_SHOWN_REPLICAS = 4


class View(Protocol):
    """Shows events between entering and leaving its context."""

    def show(self, event: Event) -> None:
        """Take notice of an event."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show what it came to."""


def make_view(plan: Plan) -> View:
    """A live view on a terminal; plain lines when output is piped or in continuous integration."""
    live = sys.stdout.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    return LiveView(plan) if live else PlainView(plan)


@final
class PlainView:
    """A line for every run that is distilled, finished or failed, and for every whole set of experts; while there is
    none of these, one a minute that says how far it is.
    """

    def __init__(self, plan: Plan) -> None:
        self.tally = Tally(plan)
        self._whole: set[ExpertSet] = set()
        self._said = time.monotonic()

    def show(self, event: Event) -> None:
        """See `View`."""
        self.tally.add(event)
        line = self._line(event)
        if not line and time.monotonic() - self._said >= _SILENT_SECONDS:
            steps = [f"; {run.label}: {words.of_steps(now)}" for run, now in self.tally.running.values()]
            images = [
                f"; {data}: {now.done}/{now.total} images{words.left(now.seconds_left)}"
                for data, now in _preparing(self.tally)
            ]
            replicas = [
                f"; {words.of_replica(each)}: {words.of_requests(each)}, {words.of_memory(each)}"
                for each in _replicas(self.tally)
            ]
            line = f"going on   {_head(self.tally).plain}{''.join(images + replicas + steps)}"
        if line:
            print(line, flush=True)
            self._said = time.monotonic()

    def __enter__(self) -> Self:
        """See `View`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `View`."""
        if self.tally.plan.runs:
            print(_summary(self.tally), flush=True)

    def _line(self, event: Event) -> str | None:
        match event:
            case Begun(finished) if finished:
                return f"{len(finished)} of {len(self.tally.plan.runs)} runs are finished already"
            case ImagesPrepared(data, done, total) if done == total:
                return f"prepared   {data}: {total:,} images"
            case ExpertEpoch(each) if self.tally.experts(each) == each.experts.count and each not in self._whole:
                self._whole.add(each)
                return f"trained    {each.label}"
            case RunDistilled(run):
                return f"distilled  {run.label}"
            case RunFinished(run):
                return f"finished   {run.label}{words.left(self.tally.seconds_left())}"
            case _:
                return _notice(event)


@final
class LiveView:
    """A table of what is going on, redrawn four times a second; failures stay above it."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self.tally = Tally(plan)
        self.console = console or Console()
        # The table is drawn from a thread of its own.
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self.draw, console=self.console, refresh_per_second=4)

    def show(self, event: Event) -> None:
        """See `View`."""
        with self._lock:
            self.tally.add(event)
        notice = _notice(event)
        if notice:
            self.console.print(Text(notice, style=_STYLES.get(type(event), "yellow")))

    def __enter__(self) -> Self:
        """See `View`."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `View`."""
        self._live.stop()
        if self.tally.plan.runs:
            self.console.print(_summary(self.tally), highlight=False)

    def draw(self) -> RenderableType:
        """The table as it is now, no taller than the terminal."""
        with self._lock:
            rows = list(_rows(self.tally))[: max(1, self.console.height - 4)]
            head = _head(self.tally)
        table = Table.grid(padding=(0, 2))
        for row in rows:
            table.add_row(*row)
        return Group(head, table) if rows else head


def _head(tally: Tally) -> Text:
    parts = [*words.counts(tally), words.clock(time.monotonic() - tally.started)]
    return Text.from_markup("  ".join(parts) + words.left(tally.seconds_left()))


def _rows(tally: Tally) -> Iterator[tuple[RenderableType, ...]]:
    for data, now in _preparing(tally):
        yield (
            escape(data),
            _bar(now.done, now.total),
            f"image {now.done}/{now.total}",
            words.left(now.seconds_left).strip(),
        )
    for each in tally.plan.expert_sets:
        epochs, total = tally.expert_epochs(each), each.experts.count * each.experts.last_epoch
        if 0 < epochs < total:
            yield escape(each.label), _bar(epochs, total), f"epoch {epochs}/{total}", ""
    for replica in _replicas(tally):
        yield escape(words.of_replica(replica)), "", words.of_requests(replica), words.of_memory(replica)
    for run, progress in tally.running.values():
        bar = _bar(progress.step, progress.steps)
        yield escape(run.label), bar, words.of_steps(progress), words.of_loss(progress)
    for run, done, total in tally.evaluating():
        yield escape(run.label), _bar(done, total), words.of_trainings(done, total), ""


def _preparing(tally: Tally) -> list[tuple[str, Preparing]]:
    return [(data, now) for data, now in tally.preparing.items() if now.done < now.total]


def _replicas(tally: Tally) -> list[ReplicaStats]:
    """Those with most to do, where a cluster has many."""
    return sorted(tally.replicas, key=lambda each: -each.waiting)[:_SHOWN_REPLICAS]


def _bar(done: float, total: float) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=24)


def _notice(event: Event) -> str | None:
    match event:
        case RunFailed(run, failure):
            return f"failed     {run.label} {words.of_failure(failure)}"
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


def _summary(tally: Tally) -> str:
    parts = [f"{len(tally.finished)} of {len(tally.plan.runs)} runs finished"]
    if waiting := tally.distilled - tally.finished - tally.failed:
        parts.append(f"{len(waiting)} distilled")
    if tally.failed:
        parts.append(f"{len(tally.failed)} failed")
    if tally.retries:
        parts.append(f"{tally.retries} retried")
    took = f", in {words.clock(time.monotonic() - tally.started)}"
    return ", ".join(parts) + took + words.left(tally.seconds_left()).replace("  ", ", ")
