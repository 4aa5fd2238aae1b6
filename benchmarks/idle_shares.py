"""How much of the GPUs lies idle while work is queued, on logical clusters: the real driver, Ray and Tune.

Units of work take their time and nothing else (`simulated.py`): distillations of 2 to 6 s, evaluations of 0.5 to 2 s
with each of four networks, uneven fractions of a GPU. A distillation is queued from the beginning of the sweep until it
begins, an evaluation from the end of its distillation. Moment by moment the queued units are laid, in the order in
which they were queued, on the GPUs as they are, each on the first that has room for it: what they would take is unused.
Unused share-seconds are held against those there were, of all GPUs, while something was queued.

By cause: a unit's process was starting; or nobody had begun to start it (driver, Tune and Ray react). What is free and
too small for every queued unit is the remainder of packing, which no driver could use. The warm-up, until every GPU has
had its first unit, is shown by itself. Everything shares the machine's cores: where they are few, starts take long.

    python benchmarks/idle_shares.py
    python benchmarks/idle_shares.py --nodes 2 --gpus 1 --runs 20
"""

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.table import Table
from simulated import Entry, Journal, now, simulated

LENGTHS = {"trial": (2.0, 6.0), "evaluation": (0.5, 2.0)}
FRACTIONS = {"random": 0.4, "convnet": 0.25, "alexnet": 0.3, "vgg11": 0.15, "resnet18": 0.2}
CLUSTERS = ((1, 1, 40), (4, 2, 160))

Gpu = tuple[str, str]
"""its node, and which one of that"""


class Unit(NamedTuple):
    """A unit of work on one GPU, with times in seconds."""

    share: float
    gpu: Gpu
    queued: float
    starting: float
    """when its process was started, if for this unit; otherwise its beginning"""
    begin: float
    end: float


class Idle(NamedTuple):
    """Share-seconds while something was queued."""

    working: float
    starting: float
    """unused: a process was being started for a unit that would fit"""
    reacting: float
    """unused: nobody had begun to start a unit that would fit"""
    remainder: float
    """too small for every queued unit"""

    @property
    def unused(self) -> float:
        """The part that queued units could have used, from 0 to 1."""
        return (self.starting + self.reacting) / (sum(self) or 1.0)


class Silent:
    """A view that shows nothing."""

    def show(self, event: Any) -> None:
        """Nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def units_of(entries: Sequence[Entry], fractions: Mapping[str, float], began: float) -> list[Unit]:
    """Units of work in the order in which they were queued, of a sweep that began at a time."""
    distilled = {each.unit: each.end for each in entries if each.kind == "trial"}
    processes: set[int] = set()
    units = []
    for each in entries:
        queued = began if each.kind == "trial" else distilled[each.unit.split()[0]]
        # A process from before the sweep is not started for a unit of it.
        started_for_it = each.process not in processes and each.process_started > began
        processes.add(each.process)
        starting = each.process_started if started_for_it else each.begin
        (gpu,) = each.gpus
        units.append(Unit(fractions[each.name], (each.node, gpu), queued, starting, each.begin, each.end))
    return sorted(units, key=lambda unit: unit.queued)


def idle_shares(units: Sequence[Unit], gpus: Sequence[Gpu], since: float, until: float) -> Idle:
    """What was worked and what was not, within a time, on GPUs of one share each; `units` as they were queued."""
    moments = {moment for each in units for moment in (each.queued, each.starting, each.begin, each.end)}
    cuts = sorted({since, until, *(moment for moment in moments if since < moment < until)})
    return Idle(*map(sum, zip(*_spans(units, gpus, cuts), strict=True)))


def _spans(units: Sequence[Unit], gpus: Sequence[Gpu], cuts: Sequence[float]) -> Iterator[Idle]:
    """The share-seconds of every span in which nothing changes."""
    yield Idle(0.0, 0.0, 0.0, 0.0)
    for begin, end in itertools.pairwise(cuts):
        waiting = [each for each in units if each.queued <= begin < each.begin]
        if not waiting:
            continue
        free = dict.fromkeys(gpus, 1.0)
        for each in units:
            if each.begin <= begin < each.end:
                free[each.gpu] -= each.share
        working = len(gpus) - sum(free.values())
        unused = _laid(waiting, free)
        starting = min(unused, sum(each.share for each in waiting if each.starting <= begin))
        shares = Idle(working, starting, unused - starting, len(gpus) - working - unused)
        yield Idle(*(share * (end - begin) for share in shares))


def _laid(waiting: Sequence[Unit], free: dict[Gpu, float]) -> float:
    """How much of what is free the units take, each on the first GPU with room; `free` becomes what is left."""
    taken = 0.0
    for each in waiting:
        # Ray counts in ten thousandths.
        room = next((gpu for gpu, left in free.items() if left > each.share - 1e-4), None)
        if room is not None:
            free[room] -= each.share
            taken += each.share
    return taken


def sweep(nodes: int, gpus: int, runs: int) -> tuple[list[Unit], float]:
    """Carry out a sweep on a cluster of its own; returns its units of work and when it began."""
    from glad_ray.engine.on_ray.run import run_on_ray
    from glad_ray.plan import make_plan
    from glad_ray.spec import Evaluation, Network, RandomReal, Resources, Run, Share, Sweep
    from glad_ray.storage import Storage

    networks = tuple(Network(name=name, width=4) for name in FRACTIONS if name != "random")
    base = Run(algorithm=RandomReal(), backbone=networks[0])
    what = Sweep(
        name="idle",
        runs=tuple(base.replace(seed=seed) for seed in range(runs)),
        evaluations=Evaluation(networks=networks),
        resources=Resources(
            logical_gpus=True,
            trial=Share(cpus=0.01),
            evaluation=Share(cpus=0.01),
            by_name={name: Share(gpus=fraction) for name, fraction in FRACTIONS.items()},
        ),
    )
    node: dict[str, Any] = {"num_cpus": 4, "num_gpus": gpus, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False)
        with tempfile.TemporaryDirectory() as folder:
            journal, began = Journal(Path(folder, "journal")), now()
            work = simulated(journal, LENGTHS)
            run_on_ray(make_plan(what), Storage.open(folder), address=None, view=Silent(), work=work)
            return units_of(journal.entries(), FRACTIONS, began), began
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    """Measure every cluster, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, help="one cluster alone, with so many nodes")
    parser.add_argument("--gpus", type=int, default=1, help="of each node")
    parser.add_argument("--runs", type=int, default=40)
    given = parser.parse_args()
    clusters = CLUSTERS if given.nodes is None else ((given.nodes, given.gpus, given.runs),)
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_idle_worker_killing_time_threshold_ms": "60000"}
    columns = ("nodes x GPUs", "runs", "warm-up", "unused in it", "then", "worked", "remainder")
    table = Table(*columns, "unused", "by starts", "by reaction", title="GPU shares while work was queued")
    for nodes, gpus, runs in clusters:
        units, began = sweep(nodes, gpus, runs)
        each_gpu = sorted({unit.gpu for unit in units})
        assert len(each_gpu) == nodes * gpus, "every GPU has had a unit of work"
        warm = max(min(unit.begin for unit in units if unit.gpu == gpu) for gpu in each_gpu)
        ended = max(unit.end for unit in units)
        before, after = (idle_shares(units, each_gpu, *span) for span in ((began, warm), (warm, ended)))
        there = sum(after)
        parts = (after.working / there, after.remainder / there, after.unused)
        table.add_row(
            *(f"{nodes} x {gpus}", str(runs), f"{warm - began:.0f} s", f"{before.unused:.0%}", f"{ended - warm:.0f} s"),
            *(f"{part:.1%}" for part in (*parts, after.starting / there, after.reacting / there)),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
