"""What the processes of a sweep's trials take, read when all of them have made steps; for other benchmarks.

The proportional set size is read from /proc: a page that n processes map counts 1/n in each.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ray
from processes import descendants

from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import make_plan
from glad_ray.progress.events import Event, RunFailed, RunProgressed
from glad_ray.spec import Sweep
from glad_ray.storage import Storage

MIB, GIB = 2**20, 2**30
TRIAL = "ray::DistillationTrial"
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
    """A view until so many runs have told of a step, which then measures."""

    def __init__(self, runs: int, measure: Callable[[], Any]) -> None:
        self.runs, self.measure, self.seen = runs, measure, set[str]()

    def show(self, event: Event) -> None:
        if isinstance(event, RunFailed):
            raise RuntimeError(f"{event.run.label}: {event.failure.error}")
        if isinstance(event, RunProgressed):
            self.seen.add(event.run.run_id)
            if len(self.seen) == self.runs:
                raise _MeasuredError(self.measure())

    def __enter__(self) -> "_UntilAllRun":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def while_trials_run(
    sweep: Sweep, storage: Storage, measure: Callable[[], Found], *, at_once: int, gpus: int = 0
) -> Found:
    """Run trials of a sweep, so many at once, until each has made steps: what is measured then.

    Experts are there already; `gpus` are counted only.
    """
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
        run_on_ray(make_plan(sweep), storage, address=None, view=_UntilAllRun(at_once, measure))
    except _MeasuredError as measured:
        found: Found = measured.found
        return found
    finally:
        ray.shutdown()
    raise AssertionError("the trials ended before they were measured")


def processes() -> list[Process]:
    """All that are there: the one that asks, and what it started, Ray's among them; without those that end just now."""
    found = []
    for number in (os.getpid(), *descendants(os.getpid())):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(_process(number))
    return found


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
