"""What every machine has of its own for the work on it: replicas of shared generators, and stores of experts.

The driver starts them, and so they end with it. Machines come and go while it drives: one that came has its actors
before its first unit of work has asked for them for long, and those of one that went are not started elsewhere.
"""

import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from glad_ray.engine.on_ray.expert_store import start_expert_store
from glad_ray.engine.remaining import RemainingWork
from glad_ray.engine.replica.actor import HEALTH, start_replica
from glad_ray.plan.machines import held_gpus, least_bundle, room_for, shared_generators, units_of
from glad_ray.spec import GeneratorRecord, Sweep, Unit
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile

LOOK_SECONDS = 2.0
WAIT_SECONDS = 120.0
_ANSWER_SECONDS = 20.0
_ASK_SECONDS = 0.2

T = TypeVar("T")

Node = Mapping[str, Any]
"""A machine, as `ray.nodes()` has it"""


def alive_nodes() -> list[Node]:
    """The machines that the cluster has now."""
    return [node for node in ray.nodes() if node["Alive"]]


def replica_name(prefix: str, generator_id: str, node_id: str) -> str:
    """Name of the replica of a generator on a machine."""
    return f"{prefix} generator {generator_id} {node_id}"


def store_name(prefix: str, expert_set_id: str, node_id: str) -> str:
    """Name of the store of an expert set on a machine."""
    return f"{prefix} experts {expert_set_id} {node_id}"


class NodeActors:
    """Starts them on machines that have room for the work that needs them."""

    def __init__(
        self,
        prefix: str,
        sweep: Sweep,
        remaining: RemainingWork,
        files: Mapping[str, ray.ObjectRef[GeneratorFile]],
        storage: Storage,
    ) -> None:
        self._prefix, self._resources, self._files, self._storage = prefix, sweep.resources, files, storage
        self.generators = shared_generators(remaining.to_distill, sweep.resources)
        # Experts that nothing needs are only trained.
        self.expert_sets = remaining.expert_sets if sweep.runs else ()
        self._units = units_of(sweep, remaining.to_distill, remaining.to_evaluate, ())
        self._held_gpus = held_gpus(remaining.to_distill, sweep.resources)
        self._replicas: dict[str, dict[str, Any]] = {}
        """by the machine's id and their names"""
        self._stores: dict[str, list[Any]] = {}
        self._looked = 0.0

    @property
    def replicas(self) -> dict[str, Any]:
        """All replicas, by name."""
        return {name: actor for of_node in self._replicas.values() for name, actor in of_node.items()}

    def follow(self) -> None:
        """Start those of machines that came, and forget those of machines that went: to be called often."""
        if not (self.generators or self.expert_sets) or time.monotonic() < self._looked + LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        nodes = {node["NodeID"]: node for node in alive_nodes()}
        for node_id in self._stores.keys() - nodes.keys():
            self._end(node_id)
        for node_id in nodes.keys() - self._stores.keys():
            self._start(nodes[node_id])

    def end(self) -> None:
        """End them all."""
        for node_id in list(self._stores):
            self._end(node_id)

    def _start(self, node: Node) -> None:
        node_id, trials = node["NodeID"], self._room(node, "trial")
        self._replicas[node_id] = dict(
            self._replica(record, node_id, trials)
            for record in (self.generators if self._holds_replicas(node, trials) else ())
        )
        read = self.expert_sets if trials or self._room(node, "evaluation") else ()
        self._stores[node_id] = [
            start_expert_store(store_name(self._prefix, each.stored_id, node_id), self._storage, each, node_id)
            for each in read
        ]

    def _replica(self, record: GeneratorRecord, node_id: str, trials: int) -> tuple[str, Any]:
        """Start the replica of a generator on a machine; returns its name and handle."""
        name, file = replica_name(self._prefix, record.content_id, node_id), self._files.get(record.content_id)
        return name, start_replica(name, record, file, node_id, max(1, trials), self._resources)

    def _holds_replicas(self, node: Node, trials: int) -> bool:
        """Whether a machine is to have replicas: those that take some of a GPU serve trials on others, too."""
        return bool(node["Resources"].get("GPU", 0) >= self._held_gpus if self._held_gpus else trials)

    def _room(self, node: Node, unit: Unit) -> int:
        """Units of work that a machine has room for beside its replicas."""
        needed = [least_bundle(self._resources, each, name) for each, name in self._units if each == unit]
        return max((room_for(node["Resources"], each, held_gpus=self._held_gpus) for each in needed), default=0)

    def _end(self, node_id: str) -> None:
        for actor in (*self._replicas.pop(node_id).values(), *self._stores.pop(node_id)):
            ray.kill(actor)


def find_replica(prefix: str, generator_id: str, run_id: str) -> str:
    """Name of the replica for a run: that of this machine, or where it can hold none, of another.

    Raises `TimeoutError` if none answers: one that is to have some of a GPU may wait for it, until work gives it back.
    """
    here = replica_name(prefix, generator_id, ray.get_runtime_context().get_node_id())

    def some() -> str | None:
        there = sorted(
            name for name in ray.util.list_named_actors() if name.startswith(f"{prefix} generator {generator_id}")
        )
        if not there:
            return None
        # Trials without one of their own spread over those that there are.
        name = here if here in there else there[zlib.crc32(run_id.encode()) % len(there)]
        return name if _answers(name) else None

    return _until(some, "replica of its generator")


def find_store(prefix: str, expert_set_id: str) -> str:
    """Name of the store of an expert set on this machine; raises `TimeoutError` if it does not come."""
    name = store_name(prefix, expert_set_id, ray.get_runtime_context().get_node_id())
    return _until(lambda: name if name in ray.util.list_named_actors() else None, "store of its experts")


def _answers(name: str) -> bool:
    try:
        ray.get(ray.get_actor(name).stats.options(concurrency_group=HEALTH).remote(), timeout=_ANSWER_SECONDS)
    except (RayError, ValueError):
        return False
    return True


def _until(ask: Callable[[], T | None], what: str) -> T:
    ends = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < ends:
        if (found := ask()) is not None:
            return found
        time.sleep(_ASK_SECONDS)
    raise TimeoutError(f"no {what} answered for {WAIT_SECONDS:g} seconds")
