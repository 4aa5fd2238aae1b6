"""Several networks of one architecture as one, whose operations are batched over them: to train them side by side.

Operations of a small network leave a GPU mostly idle; batched over several networks, they are as many and larger.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.flat import flat_parameters, split_parameters


@final
class Ensemble(nn.Module):
    """Networks of one architecture, each of which is given its own part of a batch; in training mode.

    Its only parameter holds those of all: what an optimiser does to each value alone, as SGD does, it does to every
    network as if that were trained by itself. Networks that draw in their forward pass (ViT) cannot be taken: every one
    of them has random numbers of its own.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.flat = nn.Parameter(torch.stack([flat_parameters(network) for network in networks]))
        """parameters of all networks, a row each, in registration order"""
        # Not a module of this one, whose parameters would then be there twice.
        self._pattern = (networks[0],)
        states = [dict(network.named_buffers()) for network in networks]
        self._buffers_of_all = {name: torch.stack([state[name] for state in states]) for name in states[0]}

    def forward(self, images: Float[Tensor, "eb c h w"]) -> Float[Tensor, "eb classes"]:
        """Logits of normalised images: the first part of the batch by the first network, and so on."""
        parts = images.unflatten(0, (len(self.flat), -1))
        return torch.vmap(self._one)(self.flat, self._buffers_of_all, parts).flatten(0, 1)

    def _one(self, flat: Tensor, buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        (network,) = self._pattern
        logits: Tensor = torch.func.functional_call(network, (split_parameters(network, flat), buffers), (images,))
        return logits
