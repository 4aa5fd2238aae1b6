"""Sweeps on clusters of their own, each in a process of its own that tells what it saw."""

import os
import sys
import tempfile
import threading

import ray
import torch
from ray.cluster_utils import Cluster

from glad_ray.engine.carry_out import Work
from glad_ray.engine.jobs import Outcome
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import make_plan
from glad_ray.progress.events import Retried, RunFailed, RunFinished
from glad_ray.progress.faults import Fault
from glad_ray.spec import Evaluation, Network, RandomReal, Resources, Run, Share, Sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.faults.processes import until, workers
from tests.recorded import Recorded
from tests.telling import tell

UNITS = ("ray::DistillationTrial", "ray::expert", "ray::evaluation of")


@ray.remote(num_cpus=0)
class Log:
    """What was begun: the kind of work and its share of a GPU."""

    def __init__(self):
        self.lines = []

    def add(self, kind, gpus):
        self.lines.append((kind, gpus))

    def take(self):
        return self.lines


def _short(kind, enough):
    """Raise what PyTorch raises where a GPU's memory is short, unless the share is enough."""
    gpus = ray.get_runtime_context().get_assigned_resources()["GPU"]
    ray.get(ray.get_actor("log").add.remote(kind, gpus))
    if gpus < enough:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


def memory():
    """Four runs whose distillations need half a GPU and whose evaluations need a whole one, and are given less."""
    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    log = Log.options(name="log").remote()

    def distil(job, context):
        _short("trial", 0.5)
        # What an evaluation needs is known to the driver before the last one begins.
        if job.run.seed == 3:
            until(lambda: ("evaluation is tried again", 0) in ray.get(log.take.remote()))
        yield from ()

    def evaluation(job, context):
        try:
            _short("evaluation", 1.0)
        except torch.cuda.OutOfMemoryError as error:
            return Outcome(fault=Fault.of(error))
        return Outcome()

    def on_event(event):
        if isinstance(event, Retried) and event.what.startswith("evaluation"):
            ray.get(log.add.remote("evaluation is tried again", 0))

    work = Work(evaluation, distil, lambda *arguments: None)
    base = Run(algorithm=RandomReal(), backbone=Network(width=8))
    sweep = Sweep(
        name="memory",
        runs=tuple(base.replace(seed=seed) for seed in range(4)),
        evaluations=Evaluation(networks=(Network(width=8),)),
        resources=Resources(logical_gpus=True, trial=Share(gpus=0.25), evaluation=Share(gpus=0.3), max_trials=1),
    )
    view = Recorded(on_event)
    with tempfile.TemporaryDirectory() as folder:
        run_on_ray(make_plan(sweep), Storage.open(folder), address=None, view=view, work=work)
    _tell(view, begun=ray.get(log.take.remote()))


def node(where):
    """Two runs on two machines, one of which loses its raylet as soon as it computes something."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    storage, view = Storage.open(where), Recorded()

    def kill():
        until(lambda: any(title.startswith(UNITS) for _, title in workers(second.raylet_socket_name)))
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    plan = tiny.plan("dm", "mtt", evaluations=(tiny.EVALUATION,))
    run_on_ray(plan, storage, address=cluster.address, view=view)
    killer.join()
    # Which also forgets its address: commands of this machine would look for it there.
    cluster.shutdown()
    _tell(view)


def _tell(view, **more):
    seen = {
        "finished": len(view.of(RunFinished)),
        "failed": [event.failure.error for event in view.of(RunFailed)],
        "retried": [event.error for event in view.of(Retried)],
    }
    tell(seen | more)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    {"memory": memory, "node": node}[sys.argv[1]](*sys.argv[2:])
