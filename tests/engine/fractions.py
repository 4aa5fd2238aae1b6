"""The driver with units of work that only take time, on logical nodes: tells what ran when, setting by setting.

python -m tests.engine.fractions < settings.json; see `Setting`
"""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.cluster_utils import Cluster

from benchmarks.simulated import Journal, simulated
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.engine.shares import Measured
from glad_ray.plan import make_plan
from glad_ray.spec import MTT, Evaluation, Experts, Network, RandomReal, Resources, Run, Sweep
from glad_ray.spec.generators import GIB
from glad_ray.storage import Storage
from tests.recorded import Recorded
from tests.telling import tell

NETWORKS = (Network(width=4), Network(name="alexnet"), Network(width=4, depth=1), Network(name="vgg11"))
NODES = (
    {"num_gpus": 1, "num_cpus": 2, "memory": 2 * GIB},
    {"num_gpus": 2, "num_cpus": 8, "memory": 4 * GIB},
    {"num_gpus": 0, "num_cpus": 4, "memory": 1 * GIB},
    {"num_gpus": 1, "num_cpus": 1, "memory": 4 * GIB},
)
"""the first is in every cluster; each of the others joins it for the settings that want more"""
BASE = Run(algorithm=RandomReal(), backbone=NETWORKS[0])
BOUND_SECONDS = 300.0
"""for a setting, whose units of work are a second together, and as many starts of processes"""


class Setting(NamedTuple):
    """One sweep on one cluster."""

    nodes: int
    runs: int
    """every other one needs experts, if there are any"""
    experts: int
    networks: int
    resources: Mapping[str, Any]
    trials_together: int = 1
    longest_seconds: float = 0.03
    packed: int | None = None
    """trials that fit on a GPU as their memory is measured"""

    @property
    def sweep(self) -> Sweep:
        """What is done."""
        matching = MTT(experts=Experts(count=max(1, self.experts)))
        algorithms = [matching if self.experts and seed % 2 else BASE.algorithm for seed in range(self.runs)]
        return Sweep(
            name="fractions",
            runs=tuple(BASE.replace(seed=seed, algorithm=each) for seed, each in enumerate(algorithms)),
            evaluations=Evaluation(networks=NETWORKS[: self.networks]),
            resources=Resources(logical_gpus=True, **self.resources),
        )


class NotEndedError(Exception):
    """A sweep did not come to its end in time."""


def carry_out(setting: Setting, journal: Journal, folder: str) -> str | None:
    """Run a sweep to its end; returns what was wrong with that, if anything."""
    lengths = dict.fromkeys(("expert", "trial", "evaluation"), (0.002, setting.longest_seconds))
    room = 0 if setting.packed is None else int(1200 * GIB * (setting.packed + 0.5))
    measured = Measured(1000 * GIB, free_bytes=room, total_bytes=room, gpus=1) if room else None
    work = simulated(journal, lengths, setting.trials_together, measured)
    signal.setitimer(signal.ITIMER_REAL, BOUND_SECONDS)
    try:
        run_on_ray(make_plan(setting.sweep), Storage.open(folder), address=None, view=Recorded(), work=work)
        until_free()
    except Exception as error:
        # Ray tells what is raised in its midst as an error of its own.
        if not isinstance(error, NotEndedError) and not isinstance(error.__cause__, NotEndedError):
            raise
        return f"not ended after {BOUND_SECONDS:g} s, with {held()} held"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def until_free():
    """Wait until nothing is under way: all that the cluster has is there to be had."""
    while held():
        time.sleep(0.02)


def held() -> dict[str, float]:
    """What units of work hold of the cluster."""
    free = ray.available_resources()
    return {
        part: all_of_it - free.get(part, 0)
        for part, all_of_it in ray.cluster_resources().items()
        if part in ("CPU", "GPU", "memory") and free.get(part, 0) < all_of_it
    }


def not_ended(number, frame):
    """The handler of the alarm."""
    raise NotEndedError


def main(settings: Sequence[Setting]) -> None:
    """Run every setting, on clusters that grow, tell what came of each."""
    signal.signal(signal.SIGALRM, not_ended)
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_idle_worker_killing_time_threshold_ms": "600000"}
    common = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=NODES[0] | common)
    ray.init(address=cluster.address, log_to_driver=False)
    names = [ray.nodes()[0]["NodeID"]]
    for setting in settings:
        for node in NODES[len(names) : setting.nodes]:
            names.append(cluster.add_node(**node, object_store_memory=common["object_store_memory"]).node_id)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            journal, began = Journal(Path(folder, "journal")), time.monotonic()
            wrong = carry_out(setting, journal, folder)
            entries = [each._replace(node=names.index(each.node)) for each in journal.entries()]
            seconds = time.monotonic() - began
            tell([wrong, entries, journal.finished(), seconds])
        if wrong:
            break
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main([Setting(*each) for each in json.load(sys.stdin)])
