"""Memory of a machine against the trials that run there at once: for `growth.py`.

Half of the trials are DM through a generator that one replica holds for all of them, half MTT with experts that one
store maps. When all have made steps, the proportional set size of every process is read, Ray's object store among it.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from process_memory import MIB, TRIAL, called, processes, while_trials_run

from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import plan_experts
from glad_ray.progress.sweep_reporter import make_view
from glad_ray.spec import DM, MTT, Evaluation, Experts, Network, RandomStyleGAN, Resources, Run, Share, Sweep
from glad_ray.storage import Storage

_STEPS = 1_000_000
_GENERATOR = RandomStyleGAN(
    resolution=32, image_channels=1, channel_base=512, channel_max=128, w_dim=1024, z_dim=64, calibrate=False
)


class Memory(NamedTuple):
    """Proportional set sizes in MiB while so many trials run."""

    trials: int
    machine: float
    """all processes together, Ray's own and the driver among them"""
    trial: float
    """their mean"""


def measure_trials(counts: Sequence[int]) -> list[Memory]:
    """For every number of trials at once, each in a Ray of its own."""
    network = Network(width=16)
    experts = Experts(count=2, epochs=3)
    base = Run(resolution=32, backbone=network, algorithm=DM(), checkpoint_every=_STEPS)
    through_generator = base.replace(
        algorithm=DM(iterations=_STEPS, real_batch_size=8), space="f4", init="sampled", generator=_GENERATOR
    )
    matching = base.replace(algorithm=MTT(iterations=_STEPS, synthetic_steps=2, expert_epochs=1, experts=experts))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.open(folder)
        training = plan_experts(matching.experts_of(experts))
        with make_view(training) as view:
            run_in_process(training, storage, device="cpu", view=view)
        for trials in counts:
            runs = tuple((through_generator, matching)[seed % 2].replace(seed=seed) for seed in range(trials))
            # GPUs that are only counted: a trial that waits for its generator leaves its CPU to another.
            shares = Resources(logical_gpus=True, trial=Share(gpus=0.05), generator_gpus=0.2, max_trials=trials)
            sweep = Sweep(name="growth", runs=runs, evaluations=Evaluation(networks=(network,)), resources=shares)
            found.append(while_trials_run(sweep, storage, partial(_now, trials), at_once=trials, gpus=1))
    return found


def _now(trials: int) -> Memory:
    """What so many take now."""
    found = processes()
    of_trials = called(TRIAL, found, trials)
    machine = sum(each.own + each.shared for each in found)
    return Memory(trials, machine / MIB, sum(each.own + each.shared for each in of_trials) / trials / MIB)
