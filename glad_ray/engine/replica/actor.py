"""The actor: a generator, and the four calls of one, each of which waits for its turn.

PyTorch is imported and the generator built by the first call: a replica that none makes costs next to nothing, and what
is wrong with the generator is told to the run that called.
"""

import threading
from typing import TYPE_CHECKING, Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glad_ray.engine.replica.batching import Batch, Batching, Room
from glad_ray.engine.replica.calls import (
    IMAGE_GRADS,
    Array,
    Arrays,
    Key,
    Start,
    decode_key,
    hand_over_key,
    image_count,
    pullback_key,
    start_key,
)
from glad_ray.engine.replica.health import Health
from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.spec import GeneratorRecord, Resources
from glad_ray.spec.generators import GIB, Init
from glad_ray.stylegan.files import GeneratorFile
from glad_ray.stylegan.settings import WORKING_BYTES

if TYPE_CHECKING:
    from glad_ray.engine.replica.computing import HeldGenerator

_FEWEST_CALLS = 16
HEALTH = "health"
"""the calls that wait for no other"""


class Replica:
    """The actor."""

    def __init__(
        self,
        record: GeneratorRecord,
        file: bytes | None,
        resources: Resources,
        at_once: int,
        most_images: int | None,
        dtype: str | None,
    ) -> None:
        self._record, self._file, self._resources = record, file, resources
        self._at_once, self._most_images, self._dtype = at_once, most_images, dtype
        self._health = Health(record.title)
        self._beginning = threading.Lock()
        self._begun: Batching | None = None
        self._held: HeldGenerator | None = None

    def init(
        self, client: str, space: str, labels: Array, rng_state: Array, how: Init, real_images: Array | None
    ) -> Any:
        """Latents to start from, and the state that the draws left `rng` in."""
        start = Start(labels, rng_state, how, real_images)
        return self._batching.serve(client, start_key(space), len(labels), start)

    def decode(self, client: str, space: str, latents: Arrays) -> Any:
        """Images of latents."""
        return self._batching.serve(client, decode_key(space, latents), image_count(latents), latents)

    def pullback(self, client: str, space: str, latents: Arrays, image_grads: Array) -> Any:
        """Gradients of latents from those of images."""
        tensors = {**latents, IMAGE_GRADS: image_grads}
        return self._batching.serve(client, pullback_key(space, tensors), image_count(tensors), tensors)

    def hand_over(self, client: str, space: str, later: str, latents: Arrays) -> Any:
        """Latents of a later space."""
        return self._batching.serve(client, hand_over_key(space, later, latents), image_count(latents), latents)

    def stats(self) -> ReplicaStats:
        """How it is."""
        return self._health.stats(
            0 if self._begun is None else self._begun.waiting,
            None if self._held is None else self._held.memory_bytes,
        )

    @property
    def _batching(self) -> Batching:
        """Begun by the first call."""
        with self._beginning:
            if self._begun is None:
                from glad_ray.machine import keep_freed_memory

                # Before the threads that compute are started: of those that were there, each would keep its own.
                keep_freed_memory()
                self._begun = Batching(
                    self._compute,
                    self._room,
                    at_once=self._at_once,
                    memory_bytes=int(self._resources.generator_memory_gib * GIB),
                    on_batch=self._computed,
                )
            return self._begun

    def _room(self, key: Key) -> Room:
        if self._held is None:
            from glad_ray.engine.replica.computing import HeldGenerator

            self._held = HeldGenerator(
                self._record,
                None if self._file is None else ray.get(cloudpickle.loads(self._file)),
                self._resources,
                at_once=self._at_once,
                dtype=self._dtype,
            )
        room = self._held.room(key)
        return room if self._most_images is None else room._replace(images=min(room.images, self._most_images))

    def _compute(self, key: Key, calls: list[Any]) -> list[Any]:
        assert self._held is not None, "it was asked for room before"
        return self._held.compute(key, calls)

    def _computed(self, batch: Batch) -> None:
        assert self._held is not None, "it has computed"
        self._health.computed(batch, self._batching.waiting, self._held.memory_bytes)


def start_replica(
    name: str,
    record: GeneratorRecord,
    file: ray.ObjectRef[GeneratorFile] | None,
    node_id: str,
    trials: int,
    resources: Resources,
    *,
    most_images: int | None = None,
    dtype: str | None = None,
) -> Any:
    """Start the named replica of a machine that has room for so many trials; returns its handle.

    `file` holds the weights of a trained generator, and has to be there for as long as the replica may have to be
    started again. `most_images`: of a batch, beside what memory allows; 1: nothing is batched. `dtype`: the name of
    PyTorch's, in place of the record's precision.

    A waiting trial leaves its CPUs idle, and its call takes as many threads: the replica asks for none of its own.
    """
    remote = ray.remote(concurrency_groups={HEALTH: 1})  # type: ignore[call-overload]  # Ray's types lack it
    actor = remote(Replica).options(
        name=name,
        get_if_exists=True,
        num_cpus=0,
        num_gpus=resources.generator_gpus,
        # Calls that wait here, where they are taken in turn; more wait in Ray's queue, where they are not. Of other
        # machines' trials there may be some, and every thread that could wait costs a little.
        max_concurrency=max(_FEWEST_CALLS, 2 * trials),
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    at_once = batches_at_once(trials, resources)
    # As bytes: where it is given a reference, Ray prints that a restart needs what it names.
    reference = None if file is None else cloudpickle.dumps(file)
    return actor.remote(record, reference, resources, at_once, most_images, dtype)


def batches_at_once(trials: int, resources: Resources) -> int:
    """How many batches a replica computes beside one another.

    One on a GPU, which one fills. On CPUs one a trial, with the trial's threads: one batch with the threads of several
    trials took longer than their requests side by side. No more than there is memory for, of which each has its part,
    at least half of it for graphs.
    """
    if resources.generator_gpus and not resources.logical_gpus:
        return 1
    return max(1, min(trials, int(resources.generator_memory_gib * GIB / (2 * WORKING_BYTES))))
