"""What a search costs the driver beside its trials: trials that compute nothing, on Ray, with the real study.

Distillations and rung evaluations are Ray tasks that return at once, the latter with an accuracy made of what was
drawn. All else is real: Optuna's sampler and pruner, the journal with its flushes to disk, Ray Tune, the table of
trials. For every so many trials in turn it tells the wall-clock time, the driver's CPU time and its memory: flat if
they do not grow with the number of trials that there are already.

    python benchmarks/search_overhead.py
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import simulated
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from glad_ray.engine.carry_out import Work
from glad_ray.engine.checks import CheckedPlan
from glad_ray.engine.jobs import Outcome
from glad_ray.engine.on_ray.run import search_on_ray
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.search.study import Study
from glad_ray.plan import plan_search
from glad_ray.progress.events import Event, TrialSeen
from glad_ray.progress.view import View
from glad_ray.results import Look
from glad_ray.spec import DM, Evaluation, FloatRange, Layers, Network, RandomStyleGAN, Run, Rung, Search
from glad_ray.storage import Storage

MIB = 2**20


def search(trials: int) -> Search:
    """Every space of a generator, four learning rates and three rungs."""
    generator = RandomStyleGAN(
        resolution=32, image_channels=1, num_layers=14, channel_base=64, channel_max=8, w_dim=8, z_dim=8
    )
    rate = FloatRange(low=1e-3, high=1e3, log=True)
    return Search(
        name="overhead",
        base=Run(algorithm=DM(iterations=100), space="f2", generator=generator, held_out=5, backbone=Network(width=8)),
        vary={"space": Layers()} | {f"algorithm.learning_rates.{kind}": rate for kind in ("f", "w", "pixels")},
        trials=trials,
        rungs=tuple(Rung(share=share) for share in (0.1, 0.3, 1.0)),
        evaluation=Evaluation(networks=(Network(width=8), Network(name="vgg11", width=4)), repeats=1),
    )


def _evaluate(job: Any, events: Any) -> Outcome:
    run, (step,), evaluation = job.run, job.steps, job.evaluation
    simulated.tell_begun(job, events)
    assert isinstance(run.algorithm, DM), "nothing else is searched here"
    rates = run.algorithm.learning_rates
    noise = random.Random(f"{run.run_id} {step}").random()
    accuracy = 0.02 * (run.layer or 0) + 0.3 / (1 + abs(rates.f - 1)) + 0.1 * noise
    return Outcome((Look(accuracies=(accuracy,) * evaluation.repeats, seconds=0.0),))


def _no_steps(job: Any, events: Any) -> Iterator[Any]:
    yield from ()


class Mark(NamedTuple):
    """When a trial ended: seconds on the clock and of this process, and its memory."""

    wall: float
    cpu: float
    bytes: int
    """private, of the driver"""


class Marks(View):
    """A view that measures at the end of each trial."""

    def __init__(self) -> None:
        self.ended = [mark()]

    @override
    def show(self, event: Event) -> None:
        if isinstance(event, TrialSeen) and event.outcome in ("stopped", "complete"):
            self.ended.append(mark())

    @override
    def __enter__(self) -> "Marks":
        return self

    @override
    def __exit__(self, *error: object) -> None:
        pass


def mark() -> Mark:
    """Now."""
    rows = (line.split() for line in Path(f"/proc/{os.getpid()}/smaps_rollup").read_text().splitlines()[1:])
    private = sum(1024 * int(row[1]) for row in rows if row[0] in ("Private_Clean:", "Private_Dirty:"))
    return Mark(time.perf_counter(), time.process_time(), private)


def measure(trials: int) -> list[Mark]:
    """The marks of a search of so many trials, on a new cluster of this machine."""
    made, view = search(trials), Marks()
    work = Work(_evaluate, _no_steps, lambda *arguments: None, with_context=False)
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(folder)
        study = Study(made, storage, None, False, view.show)
        plan = plan_search(made, storage)
        remaining = RemainingWork((), plan.runs, (), plan.expert_sets, ())
        search_on_ray(study, CheckedPlan(plan, remaining, {}), storage, address=None, view=view, work=work)
        study.write()
    return view.ended


def main() -> None:
    """Measure, and show a line for every so many trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--every", type=int, default=25)
    given = parser.parse_args()
    marks = measure(given.trials)
    columns = ("trials", "wall, ms a trial", "driver's CPU, ms a trial", "driver's memory, MiB", "growth, KiB a trial")
    table = Table(*columns, box=None)
    for first in range(0, len(marks) - given.every, given.every):
        before, after = marks[first], marks[first + given.every]
        table.add_row(
            f"{first + 1} to {first + given.every}",
            f"{1000 * (after.wall - before.wall) / given.every:.0f}",
            f"{1000 * (after.cpu - before.cpu) / given.every:.0f}",
            f"{after.bytes / MIB:.1f}",
            f"{(after.bytes - before.bytes) / 1024 / given.every:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
