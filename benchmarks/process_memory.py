"""What the processes of a sweep's trials take, read when all of them have made steps; for other benchmarks.

The proportional set size is read from /proc: a page that n processes map counts 1/n in each.
"""

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ray

from glad_ray.engine.connection import connected
from glad_ray.engine.fan_out import REAL
from glad_ray.engine.shared import Shared, sharing
from glad_ray.engine.shares import Shares
from glad_ray.engine.trials import Leg, run_trials
from glad_ray.engine.units import left_of
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunProgressed
from glad_ray.progress.faults import Fault
from glad_ray.progress.sweep_reporter import make_view
from glad_ray.progress.view import View
from glad_ray.spec import Run, Sweep
from glad_ray.storage import Storage

MIB, GIB = 2**20, 2**30
TRIAL = "ray::distil_task"
REPLICA = "ray::Replica"
_STORE = "/plasma"
Found = TypeVar("Found")


class Process(NamedTuple):
    """Sizes in bytes."""

    title: str
    shared: int
    """its proportion of the object store"""
    mapped: int
    """what it sees of the object store"""
    own: int
    """its proportion of everything else"""


class _MeasuredError(Exception):
    """All trials have made steps and were measured: the end."""

    def __init__(self, found: Any) -> None:
        self.found = found


class _UntilAllRun:
    """A listener until so many runs have told of a step, which then measures."""

    ending = False

    def __init__(
        self, runs: Sequence[Run], at_once: int, shared: Shared, view: View, measure: Callable[[], Any]
    ) -> None:
        self.view = view
        self.at_once, self.shared, self.measure, self.seen = at_once, shared, measure, set[str]()
        self.waiting = list(runs)

    def next(self) -> Leg | None:
        return Leg(self.waiting.pop(0)) if self.waiting else None

    @property
    def exhausted(self) -> bool:
        return not self.waiting

    def slots(self) -> int:
        return self.at_once

    def furthest(self, leg: Leg) -> int:
        return 0

    def distilled(self, leg: Leg) -> None:
        raise AssertionError("a trial ended before all of them ran")

    def faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        raise RuntimeError(f"{leg.run.label}: {fault.error}")

    def retried(self, what: str, error: str) -> None:
        pass

    def poll(self) -> None:
        events = map(pickle.loads, ray.get(self.shared.events.take.remote(False)))
        self.seen |= {event.run.run_id for event in events if isinstance(event, RunProgressed)}
        if len(self.seen) == self.at_once:
            raise _MeasuredError(self.measure())


def while_trials_run(
    sweep: Sweep, storage: Storage, measure: Callable[[], Found], *, at_once: int, gpus: int = 0
) -> Found:
    """Run trials of a sweep, so many at once, until each has made steps: what is measured then.

    Experts are there already; `gpus` are counted only.
    """
    plan = make_plan(sweep)
    left = left_of(plan, storage)
    ray.init(
        address="local",
        num_cpus=at_once,
        num_gpus=gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=2 * GIB,
    )
    try:
        view = make_view(plan)
        data = {key: ray.put(key.load(view)) for key in left.data}
        with connected(None), sharing(sweep, left, storage, data, {}) as (shared, _):
            try:
                listener = _UntilAllRun(sweep.runs, at_once, shared, view, measure)
                run_trials(shared, Shares(sweep.resources), listener, REAL.distillation)
            except _MeasuredError as measured:
                found: Found = measured.found
                return found
        raise AssertionError("the trials ended before they were measured")
    finally:
        ray.shutdown()


def processes() -> list[Process]:
    """All that are there: the one that asks, and what it started, Ray's among them."""
    return [_process(number) for number in (os.getpid(), *_descendants(os.getpid()))]


def called(title: str, found: list[Process], expected: int) -> list[Process]:
    """Those of a title, of which there have to be so many."""
    those = [each for each in found if title in each.title]
    assert len(those) == expected, f"{len(those)} processes are called {title}"
    return those


def _process(number: int) -> Process:
    shared = mapped = own = 0
    of_store = False
    for line in Path(f"/proc/{number}/smaps").read_text().splitlines():
        name, value, *_ = line.split()
        if "-" in name:
            of_store = _STORE in line
        elif name == "Pss:":
            if of_store:
                shared += int(value) * 1024
            else:
                own += int(value) * 1024
        elif name == "Rss:" and of_store:
            mapped += int(value) * 1024
    return Process(Path(f"/proc/{number}/cmdline").read_text(), shared, mapped, own)


def _descendants(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _descendants(child)
