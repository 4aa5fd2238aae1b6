"""Memory of the trials of one machine: whether they hold one copy of the real images and of the experts.

Distillations, half DM and half MTT, run at once in processes of their own, as a sweep runs them. When all of them have
made some steps, the proportional set size of every process is read from /proc: a page that n processes map counts 1/n
in each. So the sum over the pages of Ray's object store is what one copy takes, however many trials there are; what is
each trial's own stands beside it.

    python benchmarks/node_memory.py --trials 1 8
    python benchmarks/node_memory.py --dataset fashion-mnist --resolution 64 --experts 10 --trials 1 8
"""

import argparse
import logging
import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ray
import torch
from rich.console import Console
from rich.table import Table

from glad_ray.engine import make_view, run_in_process
from glad_ray.engine.connection import connected
from glad_ray.engine.events import RunProgressed
from glad_ray.engine.fan_out import REAL
from glad_ray.engine.faults import Fault
from glad_ray.engine.shared import Shared, sharing
from glad_ray.engine.shares import Shares
from glad_ray.engine.trials import run_trials
from glad_ray.engine.units import left_of
from glad_ray.machine import device_name
from glad_ray.plan import make_plan, plan_experts
from glad_ray.plan.parameters import expert_bytes
from glad_ray.spec import DM, MTT, Evaluation, Experts, Network, Run, Sweep, dataset_facts
from glad_ray.storage import Storage

CPU = torch.device("cpu")
MIB, GIB = 2**20, 2**30
_STEPS = 1_000_000
_STORE = "/plasma"
_TRIAL = "ray::distil_task"


class Memory(NamedTuple):
    """Proportional set sizes in bytes, when all trials run."""

    trials: int
    shared: int
    """pages of the object store, over all processes"""
    mapped: int
    """what every trial has seen of them, added up: what they would take if each had its own"""
    own: int
    """all other pages of a trial, their mean"""


class _MeasuredError(Exception):
    """All trials have made steps and were measured: the end."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


class _UntilAllRun:
    """A listener until every run has told of a step, which then measures."""

    ending = False

    def __init__(self, runs: int, shared: Shared) -> None:
        self.runs, self.shared, self.seen = runs, shared, set[str]()

    def startable(self, run: Run) -> bool:
        return True

    def slots(self) -> int:
        return self.runs

    def distilled(self, run: Run) -> None:
        raise AssertionError("a trial ended before all of them ran")

    def faulted(self, run: Run, fault: Fault, step: int | None) -> None:
        raise RuntimeError(f"{run.label}: {fault.error}")

    def retried(self, what: str, error: str) -> None:
        pass

    def poll(self) -> None:
        events = map(pickle.loads, ray.get(self.shared.events.take.remote()))
        self.seen |= {event.run.run_id for event in events if isinstance(event, RunProgressed)}
        if len(self.seen) == self.runs:
            raise _MeasuredError(_read(self.runs))


def measure(sweep: Sweep, storage: Storage) -> Memory:
    """Run the trials of a sweep, all at once, until each has made steps; experts are there already."""
    plan = make_plan(sweep)
    left = left_of(plan, storage)
    ray.init(
        address="local",
        num_cpus=len(sweep.runs),
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=2 * GIB,
    )
    try:
        data = {key: ray.put(key.load(make_view(plan))) for key in left.data}
        with connected(None), sharing(sweep, left, storage, data, {}) as shared:
            try:
                listener = _UntilAllRun(len(sweep.runs), shared)
                run_trials(sweep.runs, shared, Shares(sweep.resources), listener, REAL.distillation)
            except _MeasuredError as measured:
                return measured.memory
        raise AssertionError("the trials ended before they were measured")
    finally:
        ray.shutdown()


def _read(trials: int) -> Memory:
    processes = [os.getpid(), *_descendants(os.getpid())]
    sizes = {process: _sizes(process) for process in processes}
    of_trials = [sizes[process] for process in processes if _TRIAL in Path(f"/proc/{process}/cmdline").read_text()]
    assert len(of_trials) == trials, f"{len(of_trials)} processes are called {_TRIAL}"
    return Memory(
        trials=trials,
        shared=sum(size.shared for size in sizes.values()),
        mapped=sum(size.mapped for size in of_trials),
        own=sum(size.own for size in of_trials) // trials,
    )


class _Sizes(NamedTuple):
    """Of a process, in bytes."""

    shared: int
    """its proportion of the object store"""
    mapped: int
    """what it sees of the object store"""
    own: int
    """its proportion of everything else"""


def _sizes(process: int) -> _Sizes:
    shared = mapped = own = 0
    of_store = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
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
    return _Sizes(shared, mapped, own)


def _descendants(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _descendants(child)


def main() -> None:
    """Train the experts, measure with every number of trials, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion-mnist-sample")
    parser.add_argument("--resolution", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--width", type=int, default=32, help="channels of the ConvNet")
    parser.add_argument("--experts", type=int, default=2, help="number of expert trajectories")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each expert")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 8], help="numbers of trials at once")
    parser.add_argument("--storage", help="where experts are kept; a folder that is deleted if not given")
    given = parser.parse_args()

    experts = Experts(count=given.experts, epochs=given.epochs)
    network = Network(width=given.width)
    base = Run(
        dataset=given.dataset, resolution=given.resolution, backbone=network, algorithm=DM(), checkpoint_every=_STEPS
    )
    algorithms = [
        MTT(iterations=_STEPS, synthetic_steps=2, expert_epochs=1, experts=experts),
        DM(iterations=_STEPS, real_batch_size=16),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(given.storage or folder)
        for trials in given.trials:
            runs = tuple(base.replace(algorithm=algorithms[seed % 2], seed=seed) for seed in range(trials))
            sweep = Sweep(name="memory", runs=runs, evaluations=Evaluation(networks=(network,)))
            training = plan_experts(runs[0].experts_of(experts))
            with make_view(training) as view:
                run_in_process(training, storage, device="cpu", view=view)
            rows.append(measure(sweep, storage))
    facts = dataset_facts(given.dataset)
    images = (facts.train_images + facts.test_images) * facts.channels * given.resolution**2
    print_table(f"{given.dataset} {given.resolution}px", images, expert_bytes(runs[0].experts_of(experts)), rows)


def print_table(data: str, images: int, experts: int, rows: list[Memory]) -> None:
    """A line for every number of trials, in MiB."""
    title = f"{data}: {images / MIB:,.0f} MiB of images, {experts / MIB:,.1f} MiB of experts; {device_name(CPU)}"
    table = Table("trials", "object store", "seen by trials, together", "a trial's other memory", title=title)
    for row in rows:
        table.add_row(str(row.trials), *(f"{size / MIB:,.0f} MiB" for size in (row.shared, row.mapped, row.own)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
