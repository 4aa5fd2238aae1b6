"""Expert trajectories that many trials share: an actor that maps the files, and a handle that trials use in its place.

A snapshot once asked for stays in Ray's object store, one copy a machine, until others push it out.
"""

from collections import OrderedDict
from typing import Any, final

import ray
from jaxtyping import Float
from ray.exceptions import ObjectLostError
from torch import Tensor

from glad_ray.engine.connection import result
from glad_ray.experts import ExpertFiles, read_only_tensor
from glad_ray.spec import ExpertSet
from glad_ray.storage import Storage

_KEPT_BYTES = 2**29


class ExpertStore:
    """The actor: the files of one expert set, and the snapshots asked for last."""

    def __init__(self, storage: Storage, expert_set: ExpertSet) -> None:
        self.files = ExpertFiles(storage, expert_set)
        self.kept: OrderedDict[tuple[int, int], ray.ObjectRef[Any]] = OrderedDict()

    def segment(self, expert: int, start_epoch: int, epochs: int) -> list[ray.ObjectRef[Any]]:
        """References to the flat parameters at both ends of a segment."""
        ends = [(expert, start_epoch), (expert, start_epoch + epochs)]
        arrays = self.files.segment_arrays(expert, start_epoch, epochs)
        for end, array in zip(ends, arrays, strict=True):
            if end not in self.kept:
                self.kept[end] = ray.put(array)
            self.kept.move_to_end(end)
        references = [self.kept[end] for end in ends]
        while len(self.kept) > max(2, _KEPT_BYTES // arrays[0].nbytes):
            self.kept.popitem(last=False)
        return references


def start_expert_store(name: str, storage: Storage, expert_set: ExpertSet) -> Any:
    """Start the named store of an expert set; returns its handle."""
    actor = ray.remote(ExpertStore).options(
        name=name, get_if_exists=True, num_cpus=0, max_restarts=-1, max_task_retries=-1
    )
    return actor.remote(storage, expert_set)


@final
class RemoteTrajectories:
    """`Trajectories` behind a store's name; what is expected next is asked for while the one before is in use."""

    def __init__(self, name: str, expert_set: ExpertSet) -> None:
        self._store = ray.get_actor(name)
        self._expected: dict[tuple[int, int, int], ray.ObjectRef[Any]] = {}
        """the answer under way, by its question"""
        self.expert_set = expert_set

    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        """See `Trajectories.expect`."""
        question = (expert, start_epoch, epochs)
        self._expected = {question: self._store.segment.remote(*question)}

    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        """See `Trajectories.segment`."""
        question = (expert, start_epoch, epochs)
        answer = self._expected.pop(question, None)
        while True:
            try:
                start, end = ray.get(result(answer or self._store.segment.remote(*question)))
                return read_only_tensor(start), read_only_tensor(end)
            except ObjectLostError:
                # What a store kept is lost with it: the next one reads it again.
                answer = None
