"""Replicas and stores of machines that come and go, on a cluster of its own: tells what was seen.

python -m tests.engine.machines
"""

import os
import tempfile
import threading
import time

import ray
from ray.cluster_utils import Cluster

from glad_ray.engine.on_ray import node_actors
from glad_ray.engine.on_ray.node_actors import NodeActors, find_replica, find_store
from glad_ray.engine.remaining import RemainingWork
from glad_ray.plan import make_plan
from glad_ray.spec import Evaluation, Resources, Sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.telling import tell


def names(prefix, set_id):
    """What a unit of work on some machine finds."""
    replica = find_replica(prefix, tiny.GENERATOR.content_id, "a run")
    return ray.get_runtime_context().get_node_id(), replica, find_store(prefix, set_id)


def nothing_found(prefix):
    """What it finds where there are no replicas at all."""
    node_actors.WAIT_SECONDS = 1.0
    try:
        find_replica(prefix, tiny.GENERATOR.content_id, "a run")
    except TimeoutError as error:
        return str(error)


def main():
    """A machine comes while work waits for its actors, and goes; then one with a GPU serves one without."""
    node_actors.LOOK_SECONDS = 0.1
    common = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=common)
    ray.init(address=cluster.address, log_to_driver=False)
    runs = tuple(tiny.RUNS[name] for name in ("dc", "dm f3", "mtt"))
    set_id = tiny.RUNS["mtt"].expert_set.content_id
    ask = ray.remote(num_cpus=1)(names)
    seen = {"nothing": ray.get(ray.remote(num_cpus=1, max_calls=1)(nothing_found).remote("nobody's"))}
    with tempfile.TemporaryDirectory() as folder:

        def actors_for(prefix, resources):
            plan = make_plan(Sweep(name="come-and-go", runs=runs, evaluations=Evaluation(), resources=resources))
            remaining = RemainingWork((), runs, (), plan.expert_sets, ())
            return NodeActors(prefix, plan.sweep, remaining, {}, Storage.open(folder))

        actors = actors_for("one", Resources())
        ending = threading.Event()

        def follow():
            while not ending.is_set():
                actors.follow()
                time.sleep(0.05)

        def until_on(count):
            while len(actors.replicas) != count:
                time.sleep(0.05)

        follower = threading.Thread(target=follow, daemon=True)
        late = cluster.add_node(num_cpus=1, resources={"late": 1}, object_store_memory=100 * 2**20)
        asked = [ask.remote("one", set_id), ask.options(resources={"late": 1}).remote("one", set_id)]
        # Units of work are there before the actors that they ask for.
        time.sleep(1)
        follower.start()
        seen["asked"] = ray.get(asked)
        until_on(2)
        cluster.remove_node(late, allow_graceful=False)
        until_on(1)
        seen["left"] = list(actors.replicas)
        seen["head"] = ray.get_runtime_context().get_node_id()
        ending.set()
        follower.join()
        actors.end()

        cluster.add_node(num_cpus=1, num_gpus=1, resources={"late": 1}, object_store_memory=100 * 2**20)
        while len(node_actors.alive_nodes()) != 2:
            time.sleep(0.05)
        actors = actors_for("two", Resources(generator_gpus=0.5))
        actors.follow()
        seen["with a GPU"] = [ray.get(ask.options(resources=on).remote("two", set_id)) for on in ({}, {"late": 1})]
        actors.end()
    ray.shutdown()
    cluster.shutdown()
    tell(seen)


if __name__ == "__main__":
    os.environ["RAY_AUTH_MODE"] = "disabled"
    main()
