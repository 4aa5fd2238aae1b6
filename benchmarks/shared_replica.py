"""Memory of the trials of one machine, with one generator for all and with one each.

Distillations of DC and DM over four layers of one generator run at once, on a GPU that is counted only, each in a
process of its own: first one of them, then all, by one replica; then all, each with the generator in its process. When
all have made steps, the proportional set size of every process is read, Ray's object store apart. The generator's
weights are most of it and hardly any of the computation: its style codes are wide, its layers narrow.

    python benchmarks/shared_replica.py
    python benchmarks/shared_replica.py --w-dim 64 --trials 2
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import ray
import torch
from process_memory import MIB, REPLICA, TRIAL, called, processes, while_trials_run
from rich.console import Console
from rich.table import Table

from glad_ray.engine.replica.actor import HEALTH
from glad_ray.machine import device_name
from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.spec import DC, DM, Evaluation, Network, RandomStyleGAN, Resources, Run, Share, Sweep, grid
from glad_ray.storage import Storage

CPU = torch.device("cpu")
SPACES = ("f7", "f8", "f9", "f10")
_STEPS = 1_000_000


class Memory(NamedTuple):
    """Proportional set sizes in bytes, of everything but the object store."""

    trials: int
    """at once"""
    trial: int
    """their mean"""
    all_processes: int
    """Ray's own and the driver among them"""
    replica: int | None
    stats: ReplicaStats | None
    """how the replica was; None: every trial has a generator of its own"""


def measure(trials: int, *, replica: bool) -> Memory:
    """What so many trials take now."""
    found = processes()
    of_trials = called(TRIAL, found, trials)
    return Memory(
        trials=trials,
        trial=sum(each.own for each in of_trials) // trials,
        all_processes=sum(each.own for each in found),
        replica=called(REPLICA, found, 1)[0].own if replica else None,
        stats=_stats() if replica else None,
    )


def _stats() -> ReplicaStats:
    (name,) = (name for name in ray.util.list_named_actors() if " generator " in name)
    stats: ReplicaStats = ray.get(ray.get_actor(name).stats.options(concurrency_group=HEALTH).remote())
    return stats


def main() -> None:
    """Measure all ways, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion-mnist-sample")
    parser.add_argument("--resolution", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--width", type=int, default=16, help="channels of the generator's last layer")
    parser.add_argument("--w-dim", type=int, default=5120, help="numbers of a style code")
    parser.add_argument("--trials", type=int, default=8, help="at once, 2 to 8")
    given = parser.parse_args()

    generator = RandomStyleGAN(
        resolution=given.resolution,
        image_channels=1,
        channel_base=given.resolution * given.width,
        channel_max=8 * given.width,
        w_dim=given.w_dim,
        z_dim=64,
        calibrate=False,
    )
    network = Network(width=8)
    runs = grid(
        Run(
            dataset=given.dataset,
            resolution=given.resolution,
            backbone=network,
            algorithm=DM(),
            space=SPACES[0],
            init="sampled",
            generator=generator,
            checkpoint_every=_STEPS,
        ),
        space=SPACES,
        algorithm=[each(iterations=_STEPS, real_batch_size=8) for each in (DC, DM)],
    )
    # A batch at a time, as on a GPU.
    shared = Resources(logical_gpus=True, trial=Share(gpus=0.1), generator_gpus=0.2, generator_memory_gib=0.75)
    ways = [(1, shared), (given.trials, shared), (given.trials, shared.replace(generator_gpus=0))]
    rows = []
    for trials, resources in ways:
        sweep = Sweep(
            name="shared",
            runs=runs[: given.trials],
            evaluations=Evaluation(networks=(network,)),
            # A trial that waits for its generator leaves its CPU to another.
            resources=resources.replace(max_trials=trials),
        )
        of_all = partial(measure, trials, replica=resources.generator_gpus > 0)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(while_trials_run(sweep, Storage.open(folder), of_all, at_once=trials, gpus=1))
    parameters = generator.mapping_settings.parameter_count + generator.synthesis_settings.parameter_count
    print_table(f"weights of {4 * parameters / MIB:,.0f} MiB; {device_name(CPU)}", rows)


def print_table(title: str, rows: Sequence[Memory]) -> None:
    """A line for every way, in MiB."""
    table = Table("trials", "generator", "replica", "a trial", "all processes", "requests a batch", title=title)
    for row in rows:
        batches = "" if row.stats is None else f"{row.stats.requests / row.stats.batches:.2f}"
        most = "" if row.stats is None else f", {row.stats.largest_batch_requests} at most"
        table.add_row(
            str(row.trials),
            "each its own" if row.replica is None else "one replica",
            "" if row.replica is None else _mib(row.replica),
            _mib(row.trial),
            _mib(row.all_processes),
            f"{batches}{most}",
        )
    Console(width=120).print(table)


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"


if __name__ == "__main__":
    main()
