"""A storage that is read again and again while somebody looks at it, and what was read of it last."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from glad_ray.errors import GladRayError, UserError, error_line, printable
from glad_ray.progress.driver import Driver, Seen, look_at_driver, read_driver
from glad_ray.progress.search_status import SearchStatus, read_search_status
from glad_ray.progress.status import RunStatus, Status, StatusReader
from glad_ray.results import SearchTrial
from glad_ray.serve.results import ResultsReader
from glad_ray.spec import Run
from glad_ray.storage import Storage

REFRESH_SECONDS = 3.0
"""from the end of one reading to the begin of the next, at least"""
WRITTEN_REPORTS = {"sweep": Storage.REPORT, "search": Storage.REPORT_SEARCH}
_SHARE = 0.1
"""of the time is spent on reading, at most"""
_OLD_SECONDS = 20.0
_WAIT_SECONDS = 1.0
_LOOKED_AT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What was read of a storage at one time."""

    status: Status | None
    """of the sweep; None: there is none, or a search has no winner yet"""
    search: SearchStatus | None
    runs: Mapping[str, Run]
    """all that are known, by id: those of the sweep and of the trials"""
    reports: tuple[str, ...]
    """of `sweep` and `search`, those that are written"""
    at: datetime
    trouble: str | None = None
    """why it could not be read since"""

    @property
    def name(self) -> str:
        """Of the search, or else of the sweep."""
        if self.search is not None:
            return self.search.search.name
        return "" if self.status is None else self.status.plan.sweep.name

    @property
    def driver(self) -> Seen | None:
        """Who drives it."""
        one = self.status or self.search
        return None if one is None else one.driver

    @functools.cached_property
    def statuses(self) -> Mapping[str, RunStatus]:
        """What each run of the sweep is doing, by its id."""
        return {} if self.status is None else {each.run.run_id: each for each in self.status.runs}

    @functools.cached_property
    def trials(self) -> Mapping[str, SearchTrial]:
        """Those of the search, by the ids of their runs."""
        return {} if self.search is None else {trial.run.run_id: trial for trial in self.search.trials}


class Watch:
    """Reads a storage in a thread of its own, as long as snapshots are asked for."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.results = ResultsReader(storage)
        self._reader = StatusReader(storage)
        self._gone: Driver | None = None
        """a driver that was watched, and is dead"""
        self._snapshot: Snapshot | None = None
        self._runs: tuple[object, dict[str, Run]] = (None, {})
        self._asked = threading.Event()
        self._asked_at = 0.0
        self._read = threading.Condition()
        self._read_at = 0.0
        self._ended = threading.Event()

    def start(self, tell: Callable[[str], None] = lambda sentence: None) -> None:
        """Read it for the first time, then go on in a thread; raises what the first reading raises.

        `tell` is told where that takes a while (`look_at_driver`).
        """
        took = self._refresh(tell)
        threading.Thread(target=self._loop, args=(took,), name="watch", daemon=True).start()

    def end(self) -> None:
        """Read it no more."""
        self._ended.set()
        self._asked.set()

    def snapshot(self) -> Snapshot:
        """What was read last; where nobody has looked for a while, and it was not read since, what is read within a
        second.
        """
        now = time.monotonic()
        idle = now - self._asked_at > _LOOKED_AT_SECONDS
        self._asked_at = now
        self._asked.set()
        with self._read:
            if idle:
                self._read.wait_for(lambda: time.monotonic() - self._read_at < _OLD_SECONDS, _WAIT_SECONDS)
            assert self._snapshot is not None, "started"
            return self._snapshot

    def _loop(self, took: float) -> None:
        self._refresh_results()
        while not self._ended.wait(max(REFRESH_SECONDS, took * (1 - _SHARE) / _SHARE)):
            if time.monotonic() - self._asked_at > _LOOKED_AT_SECONDS:
                self._asked.clear()
                self._asked.wait()
            if self._ended.is_set():
                return
            began = time.monotonic()
            try:
                took = self._refresh()
            except Exception as error:  # whatever a storage has in it, the next reading may find another
                took = time.monotonic() - began
                assert self._snapshot is not None, "started"
                told = str(error) if isinstance(error, GladRayError | OSError) else error_line(error)
                self._show(replace(self._snapshot, trouble=printable(told)))
            self._refresh_results()

    def _refresh_results(self) -> None:
        """Read new rows of the table; where storage does not give them, they come another time."""
        assert self._snapshot is not None, "started"
        with contextlib.suppress(Exception):
            self.results.refresh(self._snapshot.runs)

    def _refresh(self, tell: Callable[[str], None] = lambda sentence: None) -> float:
        """Read it; returns the seconds that this took, those of watching a driver apart."""
        driver = self._look_at_driver(tell)
        began = time.monotonic()
        search = read_search_status(self.storage, driver)
        if search is None and not self.storage.exists(Storage.PLAN):
            raise UserError(
                f"There is no sweep or search in {self.storage}: name the storage that glad-ray sweep or search was "
                "given."
            )
        status = self._reader.read(driver) if self.storage.exists(Storage.PLAN) else None
        reports = tuple(kind for kind, path in WRITTEN_REPORTS.items() if self.storage.exists(path))
        runs = self._known(status, search)
        self._show(Snapshot(status=status, search=search, runs=runs, reports=reports, at=datetime.now(UTC)))
        return time.monotonic() - began

    def _show(self, snapshot: Snapshot) -> None:
        with self._read:
            self._snapshot, self._read_at = snapshot, time.monotonic()
            self._read.notify_all()

    def _look_at_driver(self, tell: Callable[[str], None]) -> Seen | None:
        """As `look_at_driver`; one that was found dead is not watched again until it gives a sign."""
        if self._gone is not None and self._gone == read_driver(self.storage):
            return Seen(self._gone, False, None)
        seen = look_at_driver(self.storage, tell)
        self._gone = seen.driver if seen is not None and not seen.alive else None
        return seen

    def _known(self, status: Status | None, search: SearchStatus | None) -> Mapping[str, Run]:
        """Records by id; the same object as long as they are the same."""
        trials = () if search is None else tuple(trial.run for trial in search.trials)
        plan = None if status is None else status.plan
        if self._runs[0] is None or self._runs[0] != (id(plan), len(trials)):
            sweep = () if plan is None else plan.runs
            self._runs = ((id(plan), len(trials)), {run.run_id: run for run in (*trials, *sweep)})
        return self._runs[1]
