"""What the driver makes once for all units of work: real images, generators and experts, by reference and by name."""

import contextlib
import pickle
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray

from glad_ray.data import Dataset
from glad_ray.engine.event_queue import EventQueue
from glad_ray.engine.events import Event
from glad_ray.engine.expert_store import RemoteTrajectories, start_expert_store
from glad_ray.engine.replica import RemoteGenerator, start_replica
from glad_ray.engine.units import DataKey, Left, own_generator
from glad_ray.generators import Generator
from glad_ray.spec import ExpertSet, GeneratorRecord, Run, Sweep
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
    replicas: Mapping[str, Mapping[str, str]]
    """names of actors, by the generator's id and the machine's; none where every trial holds its own generator"""
    expert_stores: Mapping[str, str]
    """names of actors, by the expert set's id"""
    events: Any
    """handle of the event queue"""

    def dataset(self, of: Run | ExpertSet) -> Dataset:
        """The real images of a run or expert set, read where they lie."""
        dataset: Dataset = ray.get(self.data[DataKey.of(of)])
        return dataset

    def generator(self, run: Run, device: str) -> Generator | None:
        """The run's generator: the replica on this machine, or where there is none, another; or one of its own."""
        if run.generator is None:
            return None
        replicas = self.replicas.get(run.generator.content_id)
        if run.learn_generator or not replicas:
            held = self.generator_files.get(run.generator.content_id)
            return own_generator(run, self.sweep.resources, device, None if held is None else ray.get(held))
        name = replicas.get(ray.get_runtime_context().get_node_id()) or next(iter(replicas.values()))
        return RemoteGenerator(name, run.generator)

    def trajectories(self, expert_set: ExpertSet | None) -> RemoteTrajectories | None:
        """The trajectories of an expert set, if one is needed."""
        return None if expert_set is None else RemoteTrajectories(self.expert_stores[expert_set.content_id], expert_set)

    def tell(self, event: Event) -> None:
        """Send an event to the view; it has arrived before the unit of work ends."""
        ray.get(self.events.put.remote(pickle.dumps(event)))


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

    They are named after this sweep and call, so that several can go on in one cluster, and on every machine there is
    a replica of every generator. Where trials have GPUs and replicas none, every trial holds its own.
    """
    prefix = f"glad-ray {sweep.name} {uuid.uuid4().hex[:6]}"
    nodes = [node for node in ray.nodes() if node["Alive"]]
    actors: list[Any] = [ray.remote(EventQueue).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()]
    held = {record.content_id: ray.put(file) for record, file in files.items()}
    replicas: dict[str, dict[str, str]] = {}
    if sweep.resources.generator_gpus or not sweep.resources.trial_gpus:
        for record in left.shared_generators:
            names = {node["NodeID"]: f"{prefix} generator {record.content_id} {node['NodeID']}" for node in nodes}
            replicas[record.content_id] = names
            actors += [
                start_replica(
                    names[node["NodeID"]],
                    record,
                    held.get(record.content_id),
                    node["NodeID"],
                    _slots(node, sweep),
                    sweep.resources,
                )
                for node in nodes
            ]
    read = left.expert_sets if sweep.runs else ()
    stores = {each.content_id: f"{prefix} experts {each.content_id}" for each in read}
    actors += [start_expert_store(stores[each.content_id], storage, each) for each in read]
    try:
        yield Shared(sweep, storage, data, held, replicas, stores, actors[0])
    finally:
        for actor in actors:
            ray.kill(actor)


def _slots(node: Mapping[str, Any], sweep: Sweep) -> int:
    """Trials that a machine has room for."""
    return max(1, int(node["Resources"].get("CPU", 1) / sweep.resources.trial_cpus))
