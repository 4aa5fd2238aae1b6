"""What thousands of runs cost the driver: units of work that take no time, on a cluster of many nodes that are counted.

Driver, Ray and Tune are the real ones; a node is a raylet of its own with a logical GPU (`light_cluster.py`), and all
share this machine. The driver's CPU seconds and memory are read as runs finish, and what the processes of trials hold,
node by node, from /proc. `--profile` says where the driver's time goes, which the measurement makes longer.

    python benchmarks/scale.py --runs 4000 --nodes 64 --at-once 8 --no-experts
    python benchmarks/scale.py --runs 4000 --nodes 16 --at-once 8
    python benchmarks/scale.py --runs 1000 --nodes 16 --at-once 8 --profile
    python benchmarks/scale.py --storage --runs 4000
    python benchmarks/scale.py --cost
    python benchmarks/scale.py --quick
"""

import argparse
import contextlib
import cProfile
import itertools
import os
import pstats
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import scale_cost
import scale_storage
import simulated
from light_cluster import LightCluster, Worker, light_cluster
from rich.console import Console
from rich.table import Table

from glad_ray.engine.carry_out import Work
from glad_ray.engine.jobs import Outcome
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import Plan, make_plan
from glad_ray.progress.events import Event, RunDistilled, RunFinished
from glad_ray.progress.sweep_reporter import make_view
from glad_ray.spec import DC, DM, MTT, Evaluation, Experts, Network, RandomStyleGAN, Resources, Run, Share, Sweep, grid
from glad_ray.storage import Storage

MIB, GIB = 2**20, 2**30
FINISHED = (250, 500, 1000, 2000, 4000, 8000)
TRIAL = "ray::DistillationTrial"
GENERATORS = tuple(RandomStyleGAN(resolution=32, image_channels=1, seed=seed) for seed in range(5))
_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0
# Where a driver's time goes, by what is called: its title, and how the file and function that cProfile names end.
PARTS = (
    ("all", "engine/scheduler.py", "run"),
    ("Tune: one turn of its loop", "execution/tune_controller.py", "step"),
    ("Tune: waits for an event and takes it", "execution/_internal/actor_manager.py", "next"),
    ("Tune: next trial from the queue", "execution/tune_controller.py", "_maybe_update_trial_queue"),
    ("Tune: starts trials", "execution/tune_controller.py", "_maybe_add_actors"),
    ("Tune: looks for a trial to run", "schedulers/trial_scheduler.py", "choose_trial_to_run"),
    ("Tune: keeps its state", "execution/tune_controller.py", "checkpoint"),
    ("scheduler: a turn", "engine/scheduler.py", "turn"),
    ("scheduler: what can begin", "engine/sweep_policy.py", "more"),
    ("executor: room in the cluster", "on_ray/executor.py", "capacity"),
    ("executor: takes what tasks bring", "on_ray/tasks.py", "poll"),
    ("executor: submits tasks", "on_ray/tasks.py", "submit"),
    ("driver: view", "progress/view.py", "show"),
)


def many(runs: int, at_once: int | None = None, experts: bool = True) -> Sweep:
    """A grid of so many runs: algorithms, spaces of five generators and pixels, seeds; without `experts` no MTT."""
    base = Run(algorithm=DC(), resolution=32, backbone=Network(width=4))
    where = [
        {"space": "pixel"},
        *({"space": space, "generator": each} for each in GENERATORS for space in GENERATORS[0].spaces),
    ]
    algorithms = [DC(), DM(), *([MTT(expert_epochs=1, experts=Experts(count=10, epochs=2))] if experts else [])]
    seeds = range(-(-runs // len(where) // len(algorithms)))
    return Sweep(
        name="scale",
        runs=grid(base, seed=seeds, where=where, algorithm=algorithms)[:runs],
        evaluations=Evaluation(networks=tuple(Network(width=width) for width in (2, 4, 6, 8))),
        resources=Resources(logical_gpus=True, trial=Share(gpus=1), max_trials=at_once),
    )


class Nothing(NamedTuple):
    """What carries out jobs and does nothing, distillations once a file is there."""

    gate: Path

    def carry_out(self, job: Any, events: Any) -> Outcome:
        """A task, which waits for nothing."""
        simulated.tell_begun(job, events)
        return Outcome()

    def distil(self, job: Any, events: Any) -> Iterator[Any]:
        """A distillation."""
        while not os.path.exists(self.gate):
            time.sleep(0.2)
        yield from ()


class Moment(NamedTuple):
    """The driver when so many runs were finished."""

    finished: int
    wall: float
    cpu: float
    resident_bytes: int


@dataclass
class Seen:
    """What was seen of a sweep."""

    moments: list[Moment] = field(default_factory=list)
    distilled: Counter[str] = field(default_factory=Counter)
    """how often each run was told to be distilled, by its id"""
    finished: Counter[str] = field(default_factory=Counter)
    """how often the results of each run were to be written, by its id"""
    workers: list[Worker] = field(default_factory=list)
    """when there were most processes of trials"""
    processes: set[int] = field(default_factory=set)
    """of trials that were ever there"""

    def trial_processes(self) -> list[Worker]:
        """Processes of trials."""
        return [each for each in self.workers if each.title.startswith(TRIAL)]

    def faults(self, sweep: Sweep) -> list[str]:
        """What is not as it should be, in words."""
        runs, once = len(sweep.runs), Counter(run.run_id for run in sweep.runs)
        wrong = {
            f"{sum(self.finished.values())} results of {len(self.finished)} runs, not one of each of {runs}": (
                self.finished != once
            ),
            f"{sum(self.distilled.values())} distillations of {len(self.distilled)} runs, not one of each of {runs}": (
                self.distilled != once
            ),
        }
        return [words for words, is_so in wrong.items() if is_so]


class _Watching:
    """A view that also reads what the driver takes as runs finish."""

    def __init__(self, plan: Plan, seen: Seen, at: Sequence[int]) -> None:
        self.view, self.seen, self.at, self.finished = make_view(plan), seen, {1, *at, len(plan.runs)}, 0

    def show(self, event: Event) -> None:
        self.view.show(event)
        if isinstance(event, RunDistilled):
            self.seen.distilled[event.run.run_id] += 1
        if isinstance(event, RunFinished):
            self.finished += 1
            if self.finished in self.at:
                moment = Moment(self.finished, time.perf_counter(), time.process_time(), _resident_bytes())
                self.seen.moments.append(moment)
                # A long measurement that is cut short has told something.
                print(f"{self.finished:,} runs finished", moment, file=sys.stderr, flush=True)


def drive(sweep: Sweep, cluster: LightCluster, at: Sequence[int] = FINISHED) -> Seen:
    """Carry out a sweep of units that take no time, from when every process of a trial that there is room for is there.

    Trials that end before the processes of others have begun would measure those: Ray Tune then gives the process that
    is free to a trial that waits for its own, ends that one, and starts a new one for the next trial.
    """
    seen, plan = Seen(), make_plan(sweep)

    def finish(name: str, run: Run, evaluation: Evaluation, storage: Storage) -> None:
        seen.finished[run.run_id] += 1

    trials = min(len(sweep.runs), sweep.resources.max_trials or len(cluster.raylets))
    with (
        tempfile.TemporaryDirectory() as folder,
        _silent(),
        _looking(cluster, seen, Path(folder, "gate"), trials) as gate,
    ):
        nothing = Nothing(gate)
        work = Work(nothing.carry_out, nothing.distil, finish, with_context=False)
        view = _Watching(plan, seen, at)
        run_on_ray(plan, Storage.open(folder), address=None, view=view, work=work)
    return seen


def _silent() -> contextlib.AbstractContextManager[Any]:
    return contextlib.redirect_stdout(StringIO())


@contextlib.contextmanager
def _looking(cluster: LightCluster, seen: Seen, gate: Path, trials: int) -> Iterator[Path]:
    """Look at the cluster's processes now and then, from a thread; write a file when so many trials have theirs."""
    ended, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            before, seen.workers = seen.workers, cluster.workers()
            seen.processes |= {each.process for each in seen.trial_processes()}
            if len(seen.trial_processes()) >= trials or time.monotonic() - began > _PATIENCE_SECONDS:
                gate.touch()
            if len(seen.trial_processes()) < sum(each.title.startswith(TRIAL) for each in before):
                seen.workers = before

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield gate
    finally:
        ended.set()
        thread.join()


def _resident_bytes() -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, "Linux"
    return 1024 * int(found[1])


def moments_table(moments: Sequence[Moment]) -> Table:
    """What a run took between two moments."""
    table = Table("runs finished", "wall ms a run", "driver's CPU ms a run", "driver's MiB", "KiB a run")
    for before, now in itertools.pairwise(moments):
        runs = now.finished - before.finished
        table.add_row(
            f"{now.finished:,}",
            f"{1e3 * (now.wall - before.wall) / runs:.1f}",
            f"{1e3 * (now.cpu - before.cpu) / runs:.1f}",
            f"{now.resident_bytes / MIB:.0f}",
            f"{(now.resident_bytes - before.resident_bytes) / 1024 / runs:.1f}",
        )
    return table


def trial_processes_words(seen: Seen, nodes: int) -> str:
    """Where the processes of trials were, when there were most of them, and what they held."""
    trial_processes = seen.trial_processes()
    if not trial_processes:
        return "no process of a trial was seen"
    on = Counter(each.node for each in trial_processes)
    held = sum(each.own_bytes for each in trial_processes)
    return (
        f"{len(trial_processes)} processes of trials on {len(on)} of {nodes} nodes, {on[0]} on the head, at most "
        f"{max(on.values())} on one; {held / len(trial_processes) / MIB:.0f} MiB each; {len(seen.processes)} seen in "
        "all"
    )


def profiled(call: Callable[[], Seen], runs: int) -> Table:
    """Where the driver's time goes, its waits included: shares of it are worth more than seconds."""
    profile = cProfile.Profile()
    profile.runcall(call)
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    table = Table("part of the driver", "calls a run", "ms a run, with what it calls")
    for title, file, function in PARTS:
        found = [entry for (path, _, name), entry in stats.items() if path.endswith(file) and name == function]
        calls, seconds = sum(each[1] for each in found), sum(each[3] for each in found)
        table.add_row(title, f"{calls / runs:.1f}", f"{1e3 * seconds / runs:.2f}")
    return table


def main() -> int:
    """Measure, print what came out, and return 1 if something is missing or made twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--at-once", type=int, help="trials at once; if not given, as many as nodes")
    parser.add_argument("--no-experts", action="store_true", help="no MTT, whose experts have a store on every node")
    parser.add_argument("--quick", action="store_true", help="200 runs on 4 nodes")
    parser.add_argument("--profile", action="store_true", help="say where the driver's time goes")
    parser.add_argument("--storage", action="store_true", help="what so many finished runs cost to read, in place")
    parser.add_argument("--cost", action="store_true", help="what a large grid takes on many GPUs, in place")
    parser.add_argument("--driver-ms", type=float, default=30.0, help="CPU time a run, for --cost")
    parser.add_argument("--teraflops", type=float, default=20.0, help="that a GPU sustains, for --cost")
    given = parser.parse_args()
    runs, nodes = (200, 4) if given.quick else (given.runs, given.nodes)

    console, sweep = Console(width=130), many(runs, given.at_once, not given.no_experts)
    if given.cost:
        scale_cost.say(console, given.driver_ms, given.teraflops)
        return 0
    if given.storage:
        scale_storage.say(console, sweep)
        return 0
    began = time.perf_counter()
    with light_cluster(nodes, {}, num_cpus=1, num_gpus=1, memory=GIB, object_store_memory=80 * MIB) as cluster:
        started = time.perf_counter() - began
        console.print(f"{runs:,} runs, {nodes} nodes, which took {started:.0f} s to start; {os.cpu_count()} CPUs")
        if given.profile:
            console.print(profiled(lambda: drive(sweep, cluster), runs))
            return 0
        seen = drive(sweep, cluster)
    console.print(moments_table(seen.moments))
    console.print(trial_processes_words(seen, nodes))
    faults = seen.faults(sweep)
    for words in faults:
        console.print(f"[red]wrong:[/] {words}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
