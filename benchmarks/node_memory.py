"""Memory of the trials of one machine: whether they hold one copy of the real images and of the experts.

Distillations, half DM and half MTT, run at once in processes of their own, as a sweep runs them. When all of them have
made some steps, the proportional set size of every process is read from /proc: a page that n processes map counts 1/n
in each. So the sum over the pages of Ray's object store is what one copy takes, however many trials there are; what is
each trial's own stands beside it.

    python benchmarks/node_memory.py --trials 1 8
    python benchmarks/node_memory.py --dataset fashion-mnist --resolution 64 --experts 10 --trials 1 8
"""

import argparse
import tempfile
from functools import partial
from typing import NamedTuple

import torch
from process_memory import MIB, TRIAL, called, processes, while_trials_run
from rich.console import Console
from rich.table import Table

from glad_ray.engine.in_process import run_in_process
from glad_ray.machine import device_name
from glad_ray.plan import plan_experts
from glad_ray.progress.sweep_reporter import make_view
from glad_ray.spec import DM, MTT, Evaluation, Experts, Network, Run, Sweep, dataset_facts
from glad_ray.storage import Storage

CPU = torch.device("cpu")
_STEPS = 1_000_000


class Memory(NamedTuple):
    """Proportional set sizes in bytes, when all trials run."""

    trials: int
    shared: int
    """pages of the object store, over all processes"""
    mapped: int
    """what every trial has seen of them, added up: what they would take if each had its own"""
    own: int
    """all other pages of a trial, their mean"""


def measure(trials: int) -> Memory:
    """What so many trials take now."""
    found = processes()
    of_trials = called(TRIAL, found, trials)
    return Memory(
        trials=trials,
        shared=sum(each.shared for each in found),
        mapped=sum(each.mapped for each in of_trials),
        own=sum(each.own for each in of_trials) // trials,
    )


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
            rows.append(while_trials_run(sweep, storage, partial(measure, trials), at_once=trials))
    facts = dataset_facts(given.dataset)
    images = (facts.train_images + facts.test_images) * facts.channels * given.resolution**2
    print_table(f"{given.dataset} {given.resolution}px", images, runs[0].experts_of(experts).kept_bytes, rows)


def print_table(data: str, images: int, experts: int, rows: list[Memory]) -> None:
    """A line for every number of trials, in MiB."""
    title = f"{data}: {images / MIB:,.0f} MiB of images, {experts / MIB:,.1f} MiB of experts; {device_name(CPU)}"
    table = Table("trials", "object store", "seen by trials, together", "a trial's other memory", title=title)
    for row in rows:
        table.add_row(str(row.trials), *(f"{size / MIB:,.0f} MiB" for size in (row.shared, row.mapped, row.own)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
