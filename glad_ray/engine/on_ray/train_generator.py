"""The training of a generator as one Ray task with its share of a machine, whose events come back to a view."""

import pickle
import time
from collections.abc import Callable
from typing import Any

import ray

from glad_ray.data import Dataset
from glad_ray.engine.cluster.connection import connected, result
from glad_ray.engine.on_ray.devices import job_device
from glad_ray.engine.on_ray.event_queue import EventQueue
from glad_ray.engine.shares import ray_options
from glad_ray.engine.train_generator import clock_of, real_images, train_with
from glad_ray.errors import UserError
from glad_ray.progress.events import Event, GeneratorAdvanced
from glad_ray.progress.view import View
from glad_ray.results.generator_card import GeneratorCard
from glad_ray.spec import Bundle, Resources
from glad_ray.spec.generator_training import GeneratorTraining
from glad_ray.storage import Storage

_TOLD_SECONDS = 1.0
"""between two steps that the task tells of"""


def train_generator_on_ray(
    training: GeneratorTraining,
    storage: Storage,
    *,
    share: Bundle,
    address: str | None,
    hours: float | None,
    view: View,
) -> GeneratorCard | None:
    """Train a generator in one task on a cluster; None: the hours were spent before. See `connected` for `address`.

    A task that is lost with its machine is run again, and goes on from its checkpoint. Raises what the task raises, and
    `UserError` before it if there is no such cluster, the data are not there or no machine has the share.
    """
    ends = clock_of(hours)
    dataset = real_images(training, view)
    with connected(address):
        _check_share(share)
        queue: Any = ray.remote(EventQueue).options(num_cpus=0).remote()
        options = ray_options(share) | {"name": "generator", "max_retries": -1}
        task = _train.options(**options).remote(training, ray.put(dataset), storage, share, queue)
        ready: list[Any] = []
        while not ready:
            ready, _ = ray.wait([task], timeout=_TOLD_SECONDS)
            for event in ray.get(queue.take.remote(ends())):
                view.show(pickle.loads(event))
        card: GeneratorCard | None = result(task)
        return card


@ray.remote(max_calls=1)
def _train(training: GeneratorTraining, dataset: Dataset, storage: Storage, share: Bundle, queue: Any) -> Any:
    device = job_device(Resources(), share.gpus)
    return train_with(
        training, dataset, storage, device=device, on_event=_telling(queue), cpus=None if share.gpus else share.cpus
    )


def _telling(queue: Any) -> Callable[[Event], bool]:
    """Puts events into a queue; of steps, one a second and the last of a stage."""
    told, goes_on = 0.0, True

    def tell(event: Event) -> bool:
        nonlocal told, goes_on
        within = isinstance(event, GeneratorAdvanced) and event.step < event.steps
        if not within or time.monotonic() - told >= _TOLD_SECONDS:
            goes_on = not ray.get(queue.put.remote(pickle.dumps(event)))
            told = time.monotonic()
        return goes_on

    return tell


def _check_share(share: Bundle) -> None:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(each.get("CPU", 0) >= share.cpus and each.get("GPU", 0) >= share.gpus for each in machines):
        most = max(machines, key=lambda each: (each.get("GPU", 0), each.get("CPU", 0)))
        raise UserError(
            f"No machine of the cluster has {share.cpus:g} CPUs and {share.gpus:g} GPUs: the largest has "
            f"{most.get('CPU', 0):g} and {most.get('GPU', 0):g}; ask for no more with --cpus and --gpus."
        )
