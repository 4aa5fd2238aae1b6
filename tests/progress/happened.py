"""Events of a sweep that are made up."""

from datetime import UTC, datetime

from glad_ray.progress.events import Begun, RunFailed, TrainingDone
from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.results import Failure, Training
from tests.engine import tiny

WHICH = "generator random StyleGAN-XL on box"
"""how the generator of `replica` is called"""
KEYS = [network.key for network in tiny.EVALUATION.networks]
NOTHING = Begun(finished=(), distilled=(), trainings=(), looks=(), experts={})


def training(network, step, repeat, seconds=2.0):
    return Training(
        step=step,
        network=network,
        repeat=repeat,
        accuracy=0.5,
        held_out_accuracy=None,
        learning_rate=0.01,
        seconds=seconds,
        peak_memory_bytes=1,
        device="cpu",
    )


def trainings(run, seconds=2.0):
    return [
        TrainingDone(run, tiny.EVALUATION.content_id, training(key, step, repeat, seconds))
        for key in KEYS
        for step in run.snapshot_steps
        for repeat in range(2)
    ]


def failure(run):
    return RunFailed(run, Failure(run_id=run.run_id, stage="distill", error="the [loss] is nan", traceback="", step=3))


def replica(**fields):
    said = ReplicaStats(
        generator="random StyleGAN-XL",
        host="box",
        at=datetime.now(UTC),
        loaded=True,
        requests=360,
        requests_per_second=12.0,
        requests_per_batch=1.8,
        waiting=0,
        batches=200,
        largest_batch_requests=4,
        largest_batch_images=40,
        memory_bytes=int(3.1 * 2**30),
    )
    return said.replace(**fields)
