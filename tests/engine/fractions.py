"""The driver with units of work that only take time, on a cluster whose GPUs are counted only: prints what ran when.

python -m tests.engine.fractions GPUS CPUS '[[runs, seconds, {resources}], ...]'
"""

import json
import os
import sys
import tempfile
import time

import ray

from glad_ray.engine.cluster import run_on_ray
from glad_ray.engine.fan_out import Work
from glad_ray.plan import make_plan
from glad_ray.spec import Evaluation, Network, RandomReal, Resources, Run, Sweep
from glad_ray.storage import Storage
from tests.engine.conftest import Recorded

NETWORKS = (Network(width=4), Network(name="alexnet"))


@ray.remote(num_cpus=0)
class Log:
    """When each unit of work ran: kind, process, begin, end."""

    def __init__(self):
        self.entries = []

    def add(self, *entry):
        self.entries.append(entry)

    def take(self):
        taken, self.entries = self.entries, []
        return taken


def worked(kind, seconds):
    began = time.monotonic()
    time.sleep(seconds)
    ray.get(ray.get_actor("log").add.remote(kind, os.getpid(), began, time.monotonic()))


def main(gpus, cpus, settings):
    """Run every setting, print a line of JSON for each."""
    ray.init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False, log_to_driver=False)
    log = Log.options(name="log").remote()
    base = Run(algorithm=RandomReal(), backbone=NETWORKS[0])
    for runs, seconds, resources in settings:

        def distil(run, shared, seconds=seconds):
            worked("trial", seconds)
            return {"fault": None, "step": 0}

        def evaluation(run, evaluation, network, shared, seconds=seconds):
            worked("evaluation", seconds)

        options = {"max_calls": 0, "max_retries": 0, "scheduling_strategy": "DEFAULT"}
        work = Work(None, ray.remote(**options)(distil), ray.remote(**options)(evaluation), lambda *arguments: None)
        sweep = Sweep(
            name="fractions",
            runs=tuple(base.replace(seed=seed) for seed in range(runs)),
            evaluations=Evaluation(networks=NETWORKS),
            resources=Resources(logical_gpus=True, **resources),
        )
        with tempfile.TemporaryDirectory() as folder:
            run_on_ray(make_plan(sweep), Storage.open(folder), address=None, view=Recorded(), work=work)
        print(json.dumps(ray.get(log.take.remote())), flush=True)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    main(float(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3]))
