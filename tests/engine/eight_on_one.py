"""Eight distillations at once on one GPU that is counted only, with one generator replica: in a process of its own.

Run with a folder for the results and one in which whoever builds the generator leaves its title; tells, when all
have distilled, how the replicas are, and how the driver has written that they were.
"""

import os
import sys
import time
from pathlib import Path

import ray
import torch

from glad_ray.engine.carry_out import Work, distil
from glad_ray.engine.jobs import Outcome
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.engine.replica import watch
from glad_ray.engine.replica.actor import HEALTH
from glad_ray.generators import build_generator
from glad_ray.plan import make_plan
from glad_ray.progress.events import RunDistilled
from glad_ray.progress.replica_stats import read_replicas
from glad_ray.spec import DC, DM, CustomGenerator, Evaluation, Resources, Share, Sweep, grid
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.faults.processes import until
from tests.recorded import Recorded
from tests.telling import tell

BUILT = "GLAD_RAY_TESTS_BUILT"
STEPS = 10
SPACES = ("w+", "f1", "f2", "f3")
GENERATOR = CustomGenerator(
    name="tests.engine.eight_on_one:generator",
    resolution=32,
    image_channels=1,
    latents={space: tiny.GENERATOR.synthesis_settings.latent_shapes(space) for space in SPACES},
)
RUNS = grid(
    tiny.BASE.replace(algorithm=DC(), space=SPACES[0], init="sampled", generator=GENERATOR),
    space=SPACES,
    algorithm=[each(iterations=STEPS, real_batch_size=8) for each in (DC, DM)],
)
PLAN = make_plan(
    Sweep(
        name="eight",
        runs=RUNS,
        evaluations=Evaluation(networks=(tiny.BACKBONE,), repeats=1, epochs=1, test_images=20),
        # A batch at a time, as on a GPU.
        resources=Resources(
            logical_gpus=True, trial=Share(gpus=0.1, cpus=0.1), generator_gpus=0.2, generator_memory_gib=0.75
        ),
    )
)


class InDouble:
    """A random StyleGAN-XL that computes in double precision: in a batch of any size an image has the same 24 bits,
    where single precision rounds as the size has it, and distillation makes that larger with every step.
    """

    def __init__(self, device):
        self._network = build_generator(tiny.GENERATOR, device=device, dtype=torch.float64).network
        self.spaces = self._network.spaces
        self.latent_shapes = self._network.latent_shapes

    def init(self, *arguments):
        """The network's own latents, in single precision."""
        return {kind: value.float() for kind, value in self._network.init(*arguments).items()}

    def images(self, space, latents):
        """Of latents in single precision, rounded to it once."""
        return self._network.images(space, {kind: value.double() for kind, value in latents.items()}).float()


def generator(device):
    """A random StyleGAN-XL, which tells who built it."""
    if BUILT in os.environ:
        (Path(os.environ[BUILT]) / str(os.getpid())).write_bytes(Path("/proc/self/cmdline").read_bytes())
    return InDouble(device)


@ray.remote(num_cpus=0)
class Crowd:
    """Who has come."""

    def __init__(self):
        self.count = 0

    def come(self):
        self.count += 1

    def all_here(self):
        return self.count >= len(RUNS)


def distil_together(job, context):
    """Distil when all others do."""
    crowd = ray.get_actor("crowd")
    ray.get(crowd.come.remote())
    while not ray.get(crowd.all_here.remote()):
        time.sleep(0.05)
    yield from distil(job, context)


def no_evaluation(job, context):
    """Sets are compared, and nothing else."""
    return Outcome()


def replica_stats():
    """How all replicas are."""
    actors = [ray.get_actor(name) for name in ray.util.list_named_actors() if " generator " in name]
    return ray.get([actor.stats.options(concurrency_group=HEALTH).remote() for actor in actors])


def main(results, built):
    """Run the sweep."""
    os.environ[BUILT] = built
    watch.ASK_SECONDS = 0.1
    storage = Storage.open(results)
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    crowd = Crowd.options(name="crowd").remote()
    until(lambda: ray.get(crowd.all_here.remote()) is False)
    distilled = set()

    def look(event):
        if isinstance(event, RunDistilled):
            distilled.add(event.run)
            if len(distilled) == len(RUNS):
                told = {"now": replica_stats(), "written": read_replicas(storage)}
                tell({when: [each.model_dump(mode="json") for each in told[when]] for when in told})

    work = Work(no_evaluation, distil_together, lambda *arguments: None)
    run_on_ray(PLAN, storage, address=None, view=Recorded(look), work=work)


if __name__ == "__main__":
    from tests.engine import eight_on_one  # by its name, that other processes know it by

    eight_on_one.main(*sys.argv[1:])
