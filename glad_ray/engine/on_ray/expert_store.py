"""Expert trajectories that the trials of a machine share: an actor that maps the files.

A snapshot once asked for stays in Ray's object store, one copy a machine, until others push it out, or nobody has asked
for any in a minute: a machine that holds objects of its own is not idle to an autoscaler. PyTorch is imported by the
first call: a store that nobody asks costs next to nothing.
"""

import threading
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glad_ray.spec import ExpertSet
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.experts import ExpertFiles

_KEPT_BYTES = 2**29
_KEPT_SECONDS = 60.0


class ExpertStore:
    """The actor: the files of one expert set, and the snapshots asked for last."""

    def __init__(self, storage: Storage, expert_set: ExpertSet) -> None:
        self._storage, self._expert_set = storage, expert_set
        self.kept: OrderedDict[tuple[int, int], ray.ObjectRef[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._forgetting: threading.Timer | None = None

    @cached_property
    def files(self) -> "ExpertFiles":
        """Opened by the first call."""
        from glad_ray.experts import ExpertFiles

        return ExpertFiles(self._storage, self._expert_set)

    def segment(self, expert: int, start_epoch: int, epochs: int) -> list[ray.ObjectRef[Any]]:
        """References to the flat parameters at both ends of a segment."""
        ends = [(expert, start_epoch), (expert, start_epoch + epochs)]
        arrays = self.files.segment_arrays(expert, start_epoch, epochs)
        with self._lock:
            for end, array in zip(ends, arrays, strict=True):
                if end not in self.kept:
                    self.kept[end] = ray.put(array)
                self.kept.move_to_end(end)
            references = [self.kept[end] for end in ends]
            while len(self.kept) > max(2, _KEPT_BYTES // arrays[0].nbytes):
                self.kept.popitem(last=False)
            self._forget_later()
        return references

    def _forget_later(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = threading.Timer(_KEPT_SECONDS, self.forget)
        self._forgetting.daemon = True
        self._forgetting.start()

    def forget(self) -> None:
        """Let go of what it keeps; whoever has a reference to some keeps that."""
        with self._lock:
            self.kept.clear()


def start_expert_store(name: str, storage: Storage, expert_set: ExpertSet, node_id: str) -> Any:
    """Start the named store of an expert set on a machine; returns its handle."""
    actor = ray.remote(ExpertStore).options(
        name=name,
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    )
    return actor.remote(storage, expert_set)
