"""Expert trajectories from a store that trials share, in the place of files."""

from typing import Any, final

import ray
from jaxtyping import Float
from ray.exceptions import ObjectLostError
from torch import Tensor
from typing_extensions import override

from glad_ray.engine.cluster.connection import result
from glad_ray.experts import read_only_tensor
from glad_ray.spec import ExpertSet
from glad_ray.trajectories import Trajectories


@final
class RemoteTrajectories(Trajectories):
    """`Trajectories` behind a store's name; what is expected next is asked for while the one before is in use."""

    def __init__(self, name: str, expert_set: ExpertSet) -> None:
        self._store = ray.get_actor(name)
        self._expected: dict[tuple[int, int, int], ray.ObjectRef[Any]] = {}
        """the answer under way, by its question"""
        self.expert_set = expert_set

    @override
    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        question = (expert, start_epoch, epochs)
        self._expected = {question: self._store.segment.remote(*question)}

    @override
    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        question = (expert, start_epoch, epochs)
        answer = self._expected.pop(question, None)
        while True:
            try:
                start, end = ray.get(result(answer or self._store.segment.remote(*question)))
                return read_only_tensor(start), read_only_tensor(end)
            except ObjectLostError:
                # What a store kept is lost with it: the next one reads it again.
                answer = None
