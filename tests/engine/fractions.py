"""The driver with units of work that only take time, on a cluster whose GPUs are counted only: prints what ran when.

python -m tests.engine.fractions GPUS CPUS '[[runs, trials at once, {resources}], ...]'
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

PATIENCE_SECONDS = 60
NETWORKS = (Network(width=4), Network(name="alexnet"))


@ray.remote(num_cpus=0)
class Log:
    """When each unit of work ran: kind, name, process, begin, end; and how many trials ran at once."""

    def __init__(self):
        self.entries, self.running, self.most = [], 0, 0

    def began(self, kind):
        self.running += kind == "trial"
        self.most = max(self.most, self.running)

    def ended(self, *entry):
        self.running -= entry[0] == "trial"
        self.entries.append(entry)

    def at_once(self):
        return self.most

    def take(self):
        taken, self.entries, self.most = self.entries, [], 0
        return taken


def worked(kind, name, trials_at_once):
    """Trials wait until so many have run at once, or much longer than that should take."""
    log, began = ray.get_actor("log"), time.monotonic()
    ray.get(log.began.remote(kind))
    while ray.get(log.at_once.remote()) < trials_at_once and time.monotonic() < began + PATIENCE_SECONDS:
        time.sleep(0.05)
    time.sleep(0.1)
    ray.get(log.ended.remote(kind, name, os.getpid(), began, time.monotonic()))


def main(gpus, cpus, settings):
    """Run every setting, print a line of JSON for each."""
    ray.init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False, log_to_driver=False)
    log = Log.options(name="log").remote()
    base = Run(algorithm=RandomReal(), backbone=NETWORKS[0])
    for runs, trials_at_once, resources in settings:

        def distil(run, shared, at_once=trials_at_once):
            worked("trial", run.algorithm.name, at_once)
            return {"fault": None, "step": 0}

        def evaluation(run, evaluation, network, shared):
            worked("evaluation", network.name, 0)

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
