"""What the driver makes once for all jobs: real images, generators and experts, by reference and by name."""

import contextlib
import pickle
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glad_ray.data import Dataset
from glad_ray.engine.computing import computing_with, evaluation_bound, own_generator
from glad_ray.engine.jobs import Job
from glad_ray.engine.on_ray.devices import given_back, job_device
from glad_ray.engine.on_ray.event_queue import EventQueue
from glad_ray.engine.on_ray.node_actors import NodeActors, find_replica, find_store
from glad_ray.engine.on_ray.remote_trajectories import RemoteTrajectories
from glad_ray.engine.real_images import DataKey
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.replica.handle import RemoteGenerator
from glad_ray.errors import StoppedError
from glad_ray.generators import Generator
from glad_ray.machine import compute_deterministically
from glad_ray.progress.events import Event, ShareGivenBack, ShareTaken
from glad_ray.spec import ExpertSet, GeneratorRecord, Run, Sweep
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class RayContext:
    """The `JobContext` of jobs on Ray; cheap to send."""

    sweep: Sweep
    storage: Storage
    data: Mapping[DataKey, ray.ObjectRef[Any]]
    """the real images, in the object store"""
    generator_files: Mapping[str, ray.ObjectRef[GeneratorFile]]
    """weights of trained generators, in the object store, by the generator's id"""
    prefix: str
    """of the names of actors (`NodeActors`)"""
    generators: frozenset[str]
    """ids of those that replicas hold; of others, every trial holds its own"""
    events: Any
    """handle of the event queue"""

    def dataset(self, of: Run | ExpertSet) -> Dataset:
        """The real images of a run or expert set, read where they lie."""
        dataset: Dataset = ray.get(self.data[DataKey.of(of)])
        return dataset

    def generator(self, run: Run, device: str) -> Generator | None:
        """The run's generator: a replica on this machine, or where there is none, on another; or one of its own."""
        if run.generator is None:
            return None
        generator_id = run.generator.content_id
        if run.learn_generator or generator_id not in self.generators:
            held = self.generator_files.get(generator_id)
            return own_generator(run, self.sweep.resources, device, None if held is None else ray.get(held))
        return RemoteGenerator(find_replica(self.prefix, generator_id, run.run_id), run.generator)

    def trajectories(self, expert_set: ExpertSet | None) -> RemoteTrajectories | None:
        """The trajectories of an expert set, if one is needed."""
        if expert_set is None:
            return None
        return RemoteTrajectories(find_store(self.prefix, expert_set.stored_id), expert_set)

    def tell(self, event: Event) -> bool:
        """Send an event to the driver, who has it before the job ends; returns whether the job is to end."""
        ending: bool = ray.get(self.events.put.remote(pickle.dumps(event)))
        return ending

    def is_ending(self) -> bool:
        """Whether the job is to end."""
        ending: bool = ray.get(self.events.is_ending.remote())
        return ending

    @contextlib.contextmanager
    def share(self, job: Job) -> Iterator[str]:
        """Compute with the job's share, of which the driver is told; yields the device."""
        gpus = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
        began, ending = time.monotonic(), self.tell(ShareTaken(job.key, gpus))
        try:
            if ending:
                raise StoppedError("not started: work is to end")
            with self.computing(job) as device:
                yield device
        finally:
            self.tell(ShareGivenBack(job.key, gpus, time.monotonic() - began))

    @contextlib.contextmanager
    def computing(self, job: Job) -> Iterator[str]:
        """Compute with as many threads as the job's whole CPUs, and on its device, which is given back."""
        resources, work = self.sweep.resources, job.work_class
        needed = resources.share_of(work.unit, work.name).bundle
        with computing_with(needed.cpus):
            device = job_device(resources, needed.gpus)
            if resources.deterministic and device != "cpu":
                compute_deterministically()
            with given_back(device):
                yield device

    def time_limit(self) -> contextlib.AbstractContextManager[None]:
        """Bound the time of an evaluation; a process in which something hangs ends."""
        return evaluation_bound(self.sweep.resources, or_exit=True)


@contextlib.contextmanager
def sharing(
    sweep: Sweep,
    remaining: RemainingWork,
    storage: Storage,
    data: Mapping[DataKey, ray.ObjectRef[Any]],
    files: Mapping[GeneratorRecord, GeneratorFile],
) -> Iterator[tuple[RayContext, NodeActors]]:
    """Put trained weights where workers read them without a copy, as the real images are, and start the actors, which
    end with the context.

    They are named after this sweep and call, so that several can go on in one cluster.
    """
    prefix = f"glad-ray {sweep.name} {uuid.uuid4().hex[:6]}"
    # Where the driver is: a machine that is lost takes no events of others with it, nor makes them wait.
    beside_driver = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    queue: Any = ray.remote(EventQueue).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=beside_driver
    )
    held = {record.content_id: ray.put(file) for record, file in files.items()}
    actors = NodeActors(prefix, sweep, remaining, held, storage)
    actors.follow()
    events = queue.remote()
    try:
        shared_ids = frozenset(record.content_id for record in actors.generators)
        yield RayContext(sweep, storage, data, held, prefix, shared_ids, events), actors
    finally:
        actors.end()
        # After what is under way: Ray prints that a call failed if its actor was killed meanwhile.
        ray.wait([events.is_ending.remote()], timeout=_ANSWER_SECONDS)
        ray.kill(events)
        with contextlib.suppress(OSError):
            storage.delete(Storage.REPLICAS)
