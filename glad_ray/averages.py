"""The average of a network's weights over the epochs of a training."""

from copy import deepcopy
from typing import final

import torch
from torch import Tensor, nn


@final
class AveragedWeights:
    """A copy of a network, moved towards what the network has become by a share of the way at a time."""

    def __init__(self, network: nn.Module) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        pairs = list(zip(*(each.state_dict().values() for each in (self.network, network)), strict=True))
        self._means, self._values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, weight: float | Tensor) -> None:
        """Move all numbers by the share `weight` of the way, in [0, 1], and take over whole numbers as they are.

        As a tensor, on the device of the network, the weight may be another one whenever a CUDA graph is replayed.
        """
        if isinstance(weight, Tensor):
            # `_foreach_lerp_` takes none: the same in three operations, but for rounding.
            changes = torch._foreach_sub(self._values, self._means)
            torch._foreach_mul_(changes, weight)
            torch._foreach_add_(self._means, changes)
        else:
            torch._foreach_lerp_(self._means, self._values, weight)
        for kept, count in self._counts:
            kept.copy_(count)
