"""How long the same distillations take with as many on a GPU as are asked for by hand, and as `auto` chooses.

Every setting distils the same runs in a sweep of its own, one after another in one cluster. Runs that lack memory are
tried again with more, which is counted. What `auto` measures before it begins is part of its time.

    python benchmarks/packing.py
    python benchmarks/packing.py --runs 32 --on-a-gpu 1 2 4 8 --set algorithm.real_batch_size=256 images_per_class=10
"""

import argparse
import logging
import tempfile
import time
from typing import Literal, NamedTuple

import ray
import torch
from rich.console import Console
from rich.table import Table

from glad_ray.engine.cluster.connection import connected
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.machine import device_name
from glad_ray.plan import make_plan
from glad_ray.progress.events import Event, SharePacked
from glad_ray.progress.sweep_reporter import SweepReporter
from glad_ray.progress.view import PlainView
from glad_ray.spec import DM, Evaluation, Network, Resources, Run, Share, Sweep, grid
from glad_ray.spec.written.overrides import override_sweep
from glad_ray.storage import Storage

Setting = int | Literal["auto"]


class Outcome(NamedTuple):
    """What came of a setting."""

    on_a_gpu: int
    seconds: float
    retried: int
    distilled: int


class _View(PlainView):
    """Prints nothing, and knows how many `auto` put on a GPU."""

    packed = 1

    def show(self, event: Event) -> None:
        self.reporter.add(event)
        if isinstance(event, SharePacked):
            self.packed = event.at_once


def distil(sweep: Sweep, setting: Setting) -> Outcome:
    """Distil all runs with so many on a GPU at once."""
    gpus = "auto" if setting == "auto" else 1 / setting
    plan = make_plan(sweep.replace(resources=sweep.resources.replace(trial=sweep.resources.trial.replace(gpus=gpus))))
    reporter = SweepReporter(plan)
    view = _View(reporter)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        run_on_ray(plan, Storage.open(folder), address=None, view=view)
        seconds = time.monotonic() - started
    on_a_gpu = view.packed if setting == "auto" else setting
    return Outcome(on_a_gpu, seconds, reporter.sweep_progress.retries, len(reporter.sweep_progress.distilled))


def main() -> None:
    """Print a row for every setting, and how `auto` compares with the best by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--on-a-gpu", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--logical", action="store_true", help="count one GPU and compute on the CPU, to try it")
    options = parser.parse_args()
    run = Run(algorithm=DM(iterations=500), resolution=32)
    tiny = Evaluation(networks=(Network(width=4, depth=1),), repeats=1, epochs=1, test_images=10)
    resources = Resources(trial=Share(cpus=0.5), evaluation=Share(cpus=0.5), logical_gpus=options.logical)
    runs = grid(run, seed=range(options.runs))
    sweep = override_sweep(Sweep(name="packing", runs=runs, evaluations=tiny, resources=resources), options.set)
    console = Console(width=None if Console().is_terminal else 120)
    logical = {"num_gpus": 1} if options.logical else {}
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **logical)
    with connected(None):
        distil(sweep.replace(runs=sweep.runs[:1]), 1)  # processes are started, and images prepared
        outcomes = {str(setting): distil(sweep, setting) for setting in (*options.on_a_gpu, "auto")}
    table = Table("setting", "at once", "seconds", "runs a minute", "retried", "distilled")
    for name, each in outcomes.items():
        a_minute = f"{60 * each.distilled / each.seconds:.1f}"
        table.add_row(name, str(each.on_a_gpu), f"{each.seconds:.1f}", a_minute, str(each.retried), str(each.distilled))
    device = torch.device("cpu" if options.logical else "cuda")
    console.print(f"{device_name(device)}, PyTorch {torch.__version__}: {options.runs} runs as {sweep.runs[0].label}")
    console.print(table)
    best = min(each.seconds for name, each in outcomes.items() if name != "auto")
    console.print(f"auto / best by hand: {outcomes['auto'].seconds / best:.2f}")


if __name__ == "__main__":
    main()
