"""A thread that brings one tracker what is new of runs; whatever the tracker does, those who tell it go on at once.

Events say that there is something new. What of it the tracker lacks is worked out from the last steps that it holds and
from what lies on storage, so that nothing is sent twice, and an event that is lost, or that came while the tracker did
not answer, does no harm.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from glad_ray.errors import error_line
from glad_ray.progress.events import Begun, Event, RunProgressed, TrackerFailed
from glad_ray.spec import Evaluation, Run
from glad_ray.spec.trackers import TrackerPlace
from glad_ray.storage import Storage
from glad_ray.trackers.base import LOSS, Point, RunRecord, TrackedRun, Tracker
from glad_ray.trackers.kept import kept_accuracies, kept_images, kept_losses
from glad_ray.trackers.news import RUN_EVENTS, RunNews, settings_of

GATHER_SECONDS = 1.0
"""for which events are gathered before they are sent together"""
END_SECONDS = 30.0
"""for which a sweep waits at its end, for all trackers together"""
SLOW_SECONDS = 60.0
"""after which a tracker that has not answered is said not to"""
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 10.0, 300.0
_LAST_TRIES = 3
_MOST_EVENTS = 10_000


class Sender(threading.Thread):
    """Sends what happens in one sweep to one tracker. `make` makes the tracker, in this thread."""

    def __init__(
        self,
        place: TrackerPlace,
        make: Callable[[], Tracker],
        sweep: str,
        evaluations: Sequence[Evaluation],
        storage: Storage,
    ) -> None:
        super().__init__(name=f"sender to {place.name}", daemon=True)
        self.title = place.name if place.where is None else f"{place.name} at {place.where}"
        self._make, self._sweep, self._evaluations, self._storage = make, sweep, evaluations, storage
        self._events: queue.Queue[Event] = queue.Queue(_MOST_EVENTS)
        self._overflowed: dict[str, Run] = {}
        """runs of which an event had no room"""
        self._tracker: Tracker | None = None
        self._records: dict[str, RunRecord] = {}
        """that are open, by run id"""
        self._news: dict[str, RunNews] = {}
        """what has not been sent, by run id"""
        self._ended: set[str] = set()
        """ids of runs whose records were closed"""
        self._ending = threading.Event()
        self._failures = 0
        """in a row"""
        self._next_try = 0.0
        self._busy_since: float | None = None
        self._told = False
        self._to_tell: list[TrackerFailed] = []

    def offer(self, event: Event) -> None:
        """Tell of an event; returns at once."""
        if not isinstance(event, (Begun, *RUN_EVENTS)):
            return
        try:
            self._events.put_nowait(event)
        except queue.Full:
            runs = (*event.finished, *event.distilled) if isinstance(event, Begun) else (event.run,)
            self._overflowed |= {run.run_id: run for run in runs}

    def failure(self) -> TrackerFailed | None:
        """What is to be said of the tracker, which is said once; None: nothing."""
        busy = self._busy_since
        if busy is not None and time.monotonic() - busy > SLOW_SECONDS:
            self._tell(f"it has not answered for {SLOW_SECONDS:g} seconds")
        return self._to_tell.pop() if self._to_tell else None

    def end(self) -> None:
        """Ask for the rest to be sent, after which the thread ends."""
        self._ending.set()

    @property
    def missing(self) -> list[str]:
        """Labels of the runs of which something was not sent."""
        behind = {key: each.run for key, each in list(self._news.items())} | dict(self._overflowed)
        with self._events.mutex:
            behind |= {event.run.run_id: event.run for event in self._events.queue if isinstance(event, RUN_EVENTS)}
        return [run.label for run in behind.values()]

    def run(self) -> None:
        """Send until the end is asked for and everything is sent, or cannot be."""
        while not self._ending.is_set():
            with contextlib.suppress(queue.Empty):
                self._note(self._events.get(timeout=GATHER_SECONDS))
            self._ending.wait(GATHER_SECONDS)
            self._note_all()
            if time.monotonic() >= self._next_try:
                self._send_all()
        self._note_all()
        for _ in range(_LAST_TRIES):
            if self._send_all():
                break
        for run_id in list(self._records):
            with contextlib.suppress(Exception):
                self._records.pop(run_id).close(None)

    def _note_all(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._note(self._events.get_nowait())
        while self._overflowed:
            _, run = self._overflowed.popitem()
            self._news_of(run).networks |= self._all_networks()

    def _note(self, event: Event) -> None:
        match event:
            case Begun(finished, distilled):
                for run in (*finished, *distilled):
                    news = self._news_of(run)
                    news.distilled, news.networks = True, self._all_networks()
                for run in finished:
                    news = self._news_of(run)
                    news.earlier, news.outcome = True, "finished"
            case _ if isinstance(event, RUN_EVENTS):
                # Told of late, after the end of its run.
                if not (isinstance(event, RunProgressed) and event.run.run_id in self._ended):
                    self._news_of(event.run).add(event)

    def _news_of(self, run: Run) -> RunNews:
        return self._news.setdefault(run.run_id, RunNews(run))

    def _all_networks(self) -> set[tuple[str, str]]:
        return {(each.content_id, network.key) for each in self._evaluations for network in each.networks}

    def _send_all(self) -> bool:
        """Send what is new of all runs; false: something went wrong, and some of it is left."""
        for run_id in list(self._news):
            self._busy_since = time.monotonic()
            try:
                if self._tracker is None:
                    self._tracker = self._make()
                self._send(self._news[run_id])
            except Exception as error:
                # What it holds is asked for anew, as part of what was sent may have come; other runs come first.
                if (record := self._records.pop(run_id, None)) is not None:
                    with contextlib.suppress(Exception):
                        record.close(None)
                self._news[run_id] = self._news.pop(run_id)
                self._failures += 1
                pause = min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2 ** (self._failures - 1))
                self._next_try = time.monotonic() + pause
                self._tell(error_line(error))
                return False
            finally:
                self._busy_since = None
            self._failures = 0
        return True

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._to_tell.append(TrackerFailed(self.title, why.rstrip(".")))

    def _send(self, news: RunNews) -> None:
        """Send what is new of a run, and what its record lacks."""
        run, run_id = news.run, news.run.run_id
        assert self._tracker is not None, "made before"
        if (record := self._records.get(run_id)) is None:
            settings = settings_of(run)
            about = TrackedRun(
                run_id=run_id, label=run.label, sweep=self._sweep, settings=settings, storage=self._storage
            )
            record = self._records[run_id] = self._tracker.record_of(about)
        if not (news.earlier and record.finished):
            self._send_losses(record, news)
            for number, evaluation in enumerate(self._evaluations):
                for network in evaluation.networks:
                    if news.outcome == "finished" or (evaluation.content_id, network.key) in news.networks:
                        ending = f"/{network.key}" if number == 0 else f"/{evaluation.content_id}/{network.key}"
                        for name, points in kept_accuracies(self._storage, run, evaluation, network).items():
                            _add(record, name + ending, points)
            for name, point in news.of_search:
                _add(record, name, [point])
            if news.distilled and not record.has_images and (png := kept_images(self._storage, run)) is not None:
                record.add_images(png, run.steps)
                record.has_images = True
        if news.outcome is not None:
            record.close(news.outcome)
            del self._records[run_id]
            self._ended.add(run_id)
        del self._news[run_id]

    def _send_losses(self, record: RunRecord, news: RunNews) -> None:
        """Send the losses that come next. Those between them and the last that the record holds lie on storage, where
        they may not be readable now: then none is sent until they are.
        """
        last = record.last_steps.get(LOSS, 0)
        known = {step: loss for step, loss in news.losses.items() if step > last}
        at_end = news.distilled or news.outcome is not None
        if at_end or _begins_late(known, last):
            known |= {step: loss for step, loss in enumerate(kept_losses(self._storage, news.run), 1) if step > last}
        if at_end or not _begins_late(known, last):
            _add(record, LOSS, sorted(known.items()))


def _begins_late(losses: Mapping[int, float], last: int) -> bool:
    """Whether there are steps between the last one sent and the first of some losses."""
    return bool(losses) and min(losses) > last + 1


def _add(record: RunRecord, name: str, points: Iterable[Point]) -> None:
    """Add those of some points to a series that come after its last."""
    last = record.last_steps.get(name, -1)
    later = [point for point in points if point[0] > last]
    if later:
        record.add(name, later)
        record.last_steps[name] = later[-1][0]
