"""What the driver makes once for all units of work: real images, generators and experts, by reference and by name."""

import contextlib
import pickle
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glad_ray.data import Dataset
from glad_ray.engine.connection import unit_device
from glad_ray.engine.event_queue import EventQueue
from glad_ray.engine.events import Event, ShareGivenBack, ShareTaken
from glad_ray.engine.expert_store import RemoteTrajectories, start_expert_store
from glad_ray.engine.replica.actor import start_replica
from glad_ray.engine.replica.handle import RemoteGenerator
from glad_ray.engine.shares import slices_of
from glad_ray.engine.units import DataKey, Left, cpu_threads, own_generator
from glad_ray.errors import StoppedError
from glad_ray.generators import Generator
from glad_ray.spec import ExpertSet, GeneratorRecord, Resources, Run, Sweep, Unit
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile


@dataclass(frozen=True)
class Shared:
    """What a unit of work is given; cheap to send."""

    sweep: Sweep
    storage: Storage
    data: Mapping[DataKey, ray.ObjectRef[Any]]
    """the real images, in the object store"""
    generator_files: Mapping[str, ray.ObjectRef[GeneratorFile]]
    """weights of trained generators, in the object store, by the generator's id"""
    replicas: Mapping[str, Mapping[str, tuple[str, ...]]]
    """names of actors, by the generator's id and the machine's; none where every trial holds its own generator"""
    expert_stores: Mapping[str, str]
    """names of actors, by the expert set's id"""
    events: Any
    """handle of the event queue"""

    @property
    def replica_names(self) -> list[str]:
        """Of all replicas, on all machines."""
        return [name for nodes in self.replicas.values() for names in nodes.values() for name in names]

    def dataset(self, of: Run | ExpertSet) -> Dataset:
        """The real images of a run or expert set, read where they lie."""
        dataset: Dataset = ray.get(self.data[DataKey.of(of)])
        return dataset

    def generator(self, run: Run, device: str) -> Generator | None:
        """The run's generator: replicas on this machine, or where there are none, on another; or one of its own."""
        if run.generator is None:
            return None
        replicas = self.replicas.get(run.generator.content_id)
        if run.learn_generator or not replicas:
            held = self.generator_files.get(run.generator.content_id)
            return own_generator(run, self.sweep.resources, device, None if held is None else ray.get(held))
        here = replicas.get(ray.get_runtime_context().get_node_id())
        # A machine that came later has none: its trials spread over those that were there.
        names = here or list(replicas.values())[zlib.crc32(run.run_id.encode()) % len(replicas)]
        return RemoteGenerator(names, run.generator)

    def trajectories(self, expert_set: ExpertSet | None) -> RemoteTrajectories | None:
        """The trajectories of an expert set, if one is needed."""
        return None if expert_set is None else RemoteTrajectories(self.expert_stores[expert_set.content_id], expert_set)

    def tell(self, event: Event) -> bool:
        """Send an event to the driver; it has arrived before the unit of work ends. Returns whether that is to end."""
        ending: bool = ray.get(self.events.put.remote(pickle.dumps(event)))
        return ending

    @contextlib.contextmanager
    def share(self, unit: Unit, name: str, *which: str) -> Iterator[str]:
        """`computing`, and the driver is told of it; `which` unit it is, by ids. Raises `StoppedError` if nothing is to
        be started.
        """
        gpus = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
        began, ending = time.monotonic(), self.tell(ShareTaken((unit, *which), gpus))
        try:
            if ending:
                raise StoppedError("not started: work is to end")
            with self.computing(unit, name) as device:
                yield device
        finally:
            self.tell(ShareGivenBack((unit, *which), gpus, time.monotonic() - began))

    @contextlib.contextmanager
    def computing(self, unit: Unit, name: str) -> Iterator[str]:
        """Compute with the share of a unit of work: as many threads as whole CPUs, and the device, which it gives
        back.
        """
        resources = self.sweep.resources
        needed = resources.slice_of(unit, name)
        with cpu_threads(needed.cpus):
            device = unit_device(resources, needed.gpus)
            try:
                yield device
            finally:
                if device != "cpu":
                    # Ray divides GPUs by name only: what an idle process keeps of the memory, others lack.
                    torch.cuda.empty_cache()


@contextlib.contextmanager
def sharing(
    sweep: Sweep,
    left: Left,
    storage: Storage,
    data: Mapping[DataKey, ray.ObjectRef[Any]],
    files: Mapping[GeneratorRecord, GeneratorFile],
) -> Iterator[Shared]:
    """Put trained weights where workers read them without a copy, as the real images are, and start the actors, which
    end with the context.

    They are named after this sweep and call, so that several can go on in one cluster, and on every machine there are
    replicas of every generator of `shared_generators`.
    """
    prefix = f"glad-ray {sweep.name} {uuid.uuid4().hex[:6]}"
    nodes = [node for node in ray.nodes() if node["Alive"]]
    # Where the driver is: a machine that is lost takes no events of others with it, nor makes them wait.
    beside_driver = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    queue: Any = ray.remote(EventQueue).options(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=beside_driver
    )
    actors: list[Any] = [queue.remote()]
    held = {record.content_id: ray.put(file) for record, file in files.items()}
    replicas: dict[str, dict[str, tuple[str, ...]]] = {}
    rooms = [(node, _slots(node, left, sweep.resources)) for node in nodes]
    for record in shared_generators(left, sweep.resources):
        replicas[record.content_id] = {
            node["NodeID"]: tuple(
                f"{prefix} generator {record.content_id} {node['NodeID']} {number}"
                for number in range(sweep.resources.generator_replicas)
            )
            for node in nodes
        }
        actors += [
            start_replica(name, record, held.get(record.content_id), node["NodeID"], trials, sweep.resources)
            for node, trials in rooms
            for name in replicas[record.content_id][node["NodeID"]]
        ]
    read = left.expert_sets if sweep.runs else ()
    stores = {each.content_id: f"{prefix} experts {each.content_id}" for each in read}
    actors += [start_expert_store(stores[each.content_id], storage, each) for each in read]
    try:
        yield Shared(sweep, storage, data, held, replicas, stores, actors[0])
    finally:
        for actor in actors:
            ray.kill(actor)
        with contextlib.suppress(OSError):
            storage.delete(Storage.REPLICAS)


def shared_generators(left: Left, resources: Resources) -> set[GeneratorRecord]:
    """The generators that replicas hold: those of several runs.

    Where trials have GPUs and replicas none, every trial holds its own, and so does a trial that alone has a generator,
    unless that would leave it without the GPU that replicas have.
    """
    on_gpus = any(each.gpus for each in left.trial_slices(resources))
    if on_gpus and not resources.generator_gpus:
        return set()
    runs = Counter[GeneratorRecord](
        run.generator for run in left.to_distill if run.generator and not run.learn_generator
    )
    fewest = 1 if resources.generator_gpus and not on_gpus else 2
    return {record for record, count in runs.items() if count >= fewest}


def _slots(node: Mapping[str, Any], left: Left, resources: Resources) -> int:
    """Trials that a machine has room for."""
    return max([1, *(slices_of(node["Resources"], each) for each in left.trial_slices(resources))])
