"""What thousands of finished runs on storage cost: to plan, to find out what is left, to show the status, to report.

A part of `scale.py`.

Records, rows and ledgers are written by those who write them in a sweep; accuracies are drawn at random, losses and
pictures are small. Every question to storage is counted, for an object store takes its time over each.
"""

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from glad_ray.engine.remaining import remaining_work, show_begun
from glad_ray.plan import Plan, make_plan, write_plan
from glad_ray.plan.show import plan_tables
from glad_ray.progress.status import read_status
from glad_ray.progress.status_tables import status_parts
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.report import write_report
from glad_ray.results import (
    Distillation,
    Training,
    evaluated,
    package_versions,
    read_failures,
    write_distillation,
    write_entry,
    write_losses,
    write_trainings,
)
from glad_ray.run_evaluation import finish_run
from glad_ray.spec import Run, Sweep
from glad_ray.storage import Storage

_LOSSES = 100
_DEVICE = "none: drawn at random"


class Cost(NamedTuple):
    """What one operation on a storage takes."""

    what: str
    cpu_seconds: float
    asked: Counter[str]
    """questions to storage, by what they are"""


def fill(plan: Plan, storage: Storage) -> None:
    """Write what the finished runs of a plan leave."""
    versions = package_versions()
    write_plan(plan, storage)
    for number, run in enumerate(plan.runs):
        _finish(run, plan.sweep, storage, np.random.default_rng(number), versions)


def _finish(run: Run, sweep: Sweep, storage: Storage, rng: np.random.Generator, versions: dict[str, str]) -> None:
    storage.write_bytes(storage.run_path(run.run_id), run.model_dump_json(indent=1).encode())
    write_entry(storage, run.run_id, "started", device=_DEVICE)
    losses = rng.exponential(size=_LOSSES).tolist()
    write_losses(storage, run.run_id, losses, list(range(_LOSSES)))
    write_distillation(storage, run.run_id, _taken(versions))
    made = [storage.losses_path(run.run_id), storage.distillation_path(run.run_id)]
    write_entry(storage, run.run_id, "distilled", device=_DEVICE, seconds=60.0, files=made)
    for evaluation in sweep.evaluations:
        for network in evaluation.networks:
            trainings = [
                Training(
                    step=step,
                    network=network.key,
                    repeat=repeat,
                    accuracy=float(rng.uniform()),
                    held_out_accuracy=None,
                    learning_rate=evaluation.learning_rate(network),
                    seconds=1.0,
                    peak_memory_bytes=0,
                    device=_DEVICE,
                )
                for step in run.snapshot_steps
                for repeat in range(evaluation.repeats)
            ]
            key = (run.run_id, evaluation.content_id, network.key)
            write_trainings(storage, *key, trainings)
            name = evaluated(evaluation.content_id, network.key)
            write_entry(storage, run.run_id, name, seconds=1.0, files=[storage.trainings_path(*key)])
        finish_run(sweep.name, run, evaluation, storage)


def _taken(versions: dict[str, str]) -> Distillation:
    return Distillation(seconds=60.0, peak_memory_bytes=0, device=_DEVICE, versions=versions)


def costs(sweep: Sweep, storage: Storage) -> Iterator[Cost]:
    """What it takes to plan a sweep, and to read a storage where all its runs are finished."""
    plan, cost = _taken_by("plan: the order of runs", storage, lambda: make_plan(sweep))
    yield cost
    yield _taken_by("glad-ray plan: its tables", storage, lambda: Counter(map(type, plan_tables(plan, set()))))[1]
    yield _taken_by("sweep: keeps the plan", storage, lambda: write_plan(plan, storage))[1]
    left, cost = _taken_by("sweep: what is left", storage, lambda: remaining_work(plan, storage))
    assert len(left.finished) == len(plan.runs), "all are finished"
    yield cost
    yield _taken_by("sweep: what has begun", storage, lambda: show_begun(plan, left, storage, _Silent()))[1]
    yield _taken_by("sweep: its progress", storage, lambda: SweepProgress(plan))[1]
    yield _taken_by("sweep: failures, at its end", storage, lambda: read_failures(storage))[1]
    yield _taken_by("glad-ray status", storage, lambda: _shown(storage))[1]
    yield _taken_by("glad-ray report", storage, lambda: write_report(storage))[1]


class _Silent:
    """A view that shows nothing."""

    def show(self, event: Any) -> None:
        """Nothing."""

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def _shown(storage: Storage) -> None:
    console = Console(width=160, file=StringIO())
    for part in status_parts(read_status(storage)):
        console.print(part)


def _taken_by(what: str, storage: Storage, call: Callable[[], Any]) -> tuple[Any, Cost]:
    with counted() as asked:
        began = time.process_time()
        result = call()
        return result, Cost(what, time.process_time() - began, asked)


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Questions to any storage meanwhile, by the method of `Storage` that asks."""
    asked, lock = Counter[str](), threading.Lock()
    names = ("read_bytes", "write_bytes", "_info", "list", "tree", "open_file")
    real = {name: getattr(Storage, name) for name in names}

    def counting(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with lock:
                asked[name] += 1
            return real[name](*arguments)

        return call

    for name in names:
        setattr(Storage, name, counting(name))
    try:
        yield asked
    finally:
        for name, method in real.items():
            setattr(Storage, name, method)


def costs_table(sweep: Sweep, storage: Storage) -> Table:
    """A line for every operation."""
    runs = len(sweep.runs)
    table = Table("", "CPU s", "CPU ms a run", "reads", "writes", "asked after", "listings")
    for cost in costs(sweep, storage):
        asked = cost.asked
        table.add_row(
            cost.what,
            f"{cost.cpu_seconds:.1f}",
            f"{1e3 * cost.cpu_seconds / runs:.2f}",
            *(f"{number:,}" for number in (
                asked["read_bytes"] + asked["open_file"],
                asked["write_bytes"],
                asked["_info"],
                asked["list"] + asked["tree"],
            )),
        )  # fmt: skip
    return table


def say(console: Console, sweep: Sweep) -> None:
    """Make the storage, and print what it costs to read it."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(folder)
        began = time.process_time()
        fill(make_plan(sweep), storage)
        console.print(f"{len(sweep.runs):,} finished runs, written in {time.process_time() - began:.0f} CPU s")
        console.print(costs_table(sweep, storage))
        console.print(f"report/index.html: {storage.size(Storage.REPORT) / 2**20:.1f} MiB")
