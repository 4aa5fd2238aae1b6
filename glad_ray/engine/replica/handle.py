"""The handle: a `Generator` that asks a replica."""

import uuid
from collections.abc import Sequence
from typing import Any, final

import ray
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.engine.connection import result
from glad_ray.engine.replica.arrays import array_of, arrays_of, tensor_of
from glad_ray.generators import Latents
from glad_ray.spec import GeneratorRecord
from glad_ray.spec.generators import Init

_LOOKS_BACK = 16
"""requests of a client that went on to a later replica, of which one is made of the replica before that"""


@final
class RemoteGenerator:
    """A `Generator` behind the names of the replicas of a machine, of which it asks the first until that is crowded.

    A crowded replica tells one of its clients now and then, who goes on to the next, which loads the generator if it
    has none yet, and comes back when the one before has leisure; so as many are in use as there is work for. On a CPU,
    results lie in Ray's shared memory: they are only to be read.
    """

    def __init__(self, names: Sequence[str], record: GeneratorRecord) -> None:
        self._actors = [ray.get_actor(name) for name in names]
        self._record = record
        self._client = uuid.uuid4().hex
        self._asked = 0
        self._requests = 0
        """since it was sent on, or came back"""

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces it has."""
        return self._record.spaces

    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """See `Generator.init`; `rng` advances as if the draws were made here, and latents are copies."""
        real = None if real_images is None else array_of(real_images)
        latents, state = self._ask("init", space, array_of(labels), array_of(rng.get_state()), how, real)
        rng.set_state(torch.tensor(state))
        return {kind: torch.tensor(values) for kind, values in latents.items()}

    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """See `Generator.decode`."""
        images = self._ask("decode", space, arrays_of(latents))
        return tensor_of(images).to(next(iter(latents.values())))

    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """See `Generator.pullback`."""
        grads = self._ask("pullback", space, arrays_of(latents), array_of(image_grads))
        return {kind: tensor_of(grads[kind]).to(value) for kind, value in latents.items()}

    def _ask(self, method: str, *arguments: Any) -> Any:
        self._requests += 1
        back = self._asked > 0 and self._requests % _LOOKS_BACK == 0
        asked = self._asked - back
        served = result(getattr(self._actors[asked], method).remote(self._client, *arguments))
        if back and served.at_leisure:
            self._go(asked)
        elif served.crowded and not back:
            self._go((asked + 1) % len(self._actors))
        return served.value

    def _go(self, to: int) -> None:
        self._asked, self._requests = to, 0
