"""The handle: a `Generator` that asks a replica."""

import uuid
from dataclasses import dataclass
from typing import Any, final

import ray
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.engine.cluster.connection import result
from glad_ray.engine.replica.arrays import array_of, arrays_of, tensor_of
from glad_ray.generators import Generator, Latents
from glad_ray.spec import GeneratorRecord
from glad_ray.spec.generators import Init

# Ray sends less along with the call, which takes it less time.
SENT_ALONG_BYTES = 100 * 2**10


@dataclass(frozen=True)
class _InStore:
    """Latents that lie in the object store."""

    latents: Latents
    versions: dict[str, int]
    arrays: ray.ObjectRef[Any]

    @classmethod
    def of(cls, latents: Latents) -> "_InStore":
        return cls(dict(latents), _versions(latents), ray.put(arrays_of(latents)))

    def are(self, latents: Latents) -> bool:
        """Whether they are these very tensors, unchanged since."""
        return (
            latents.keys() == self.latents.keys()
            and all(value is self.latents[kind] for kind, value in latents.items())
            and _versions(latents) == self.versions
        )


def _versions(latents: Latents) -> dict[str, int]:
    return {kind: value._version for kind, value in latents.items()}


@final
class RemoteGenerator(Generator):
    """A `Generator` behind the name of a replica. On a CPU, results lie in Ray's shared memory: they are only to be
    read.
    """

    def __init__(self, name: str, record: GeneratorRecord) -> None:
        self._actor = ray.get_actor(name)
        self._record = record
        self._client = uuid.uuid4().hex
        self._decoded: _InStore | None = None
        """what a pullback of the same step asks with again"""

    @property
    @override
    def spaces(self) -> tuple[str, ...]:
        return self._record.spaces

    @override
    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """`rng` advances as if the draws were made here, and latents are copies."""
        real = None if real_images is None else array_of(real_images)
        latents, state = self._ask("init", space, array_of(labels), array_of(rng.get_state()), how, real)
        rng.set_state(torch.tensor(state))
        return {kind: torch.tensor(values) for kind, values in latents.items()}

    @override
    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        self._decoded = _InStore.of(latents) if _bytes(latents) > SENT_ALONG_BYTES else None
        images = self._ask("decode", space, arrays_of(latents) if self._decoded is None else self._decoded.arrays)
        return tensor_of(images).to(next(iter(latents.values())))

    @override
    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        decoded, self._decoded = self._decoded, None
        arrays = decoded.arrays if decoded is not None and decoded.are(latents) else arrays_of(latents)
        grads = self._ask("pullback", space, arrays, array_of(image_grads))
        return {kind: tensor_of(grads[kind]).to(value) for kind, value in latents.items()}

    @override
    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        self._decoded = None
        made = self._ask("hand_over", space, later, arrays_of(latents))
        like = next(iter(latents.values()))
        return {kind: torch.tensor(values).to(like) for kind, values in made.items()}

    def _ask(self, method: str, *arguments: Any) -> Any:
        return result(getattr(self._actor, method).remote(self._client, *arguments))


def _bytes(latents: Latents) -> int:
    return sum(value.nbytes for value in latents.values())
