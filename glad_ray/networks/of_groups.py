"""Layers that also take parameters with a dimension of groups in front, for the gradients of every group by itself.

Image i of a batch is then of group i modulo the number of groups. The parameters of all groups are the same, seen
several times (`Tensor.expand`). DC needs such gradients of every class.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from glad_ray import machine
from glad_ray.networks.few_operations.convolution import convolution_of_groups
from glad_ray.networks.few_operations.instance_norm import EPS, instance_norm
from glad_ray.networks.on_cpu.block import normed_relu_pooled


class Convolution2d(nn.Conv2d):
    """A convolution with zeros around the maps."""

    @override
    def forward(self, input: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """The convolved maps."""
        if self.weight.dim() == 4:
            return super().forward(input)
        assert not isinstance(self.padding, str), "made of numbers"
        return convolution_of_groups(input, self.weight, self.bias, self.stride, self.padding)


class FullyConnected(nn.Linear):
    """A linear layer."""

    @override
    def forward(self, input: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """The products."""
        if self.weight.dim() == 2:
            return super().forward(input)
        bias = self.bias if self.bias.dim() == 1 else self.bias.unsqueeze(1)
        of_groups = input.unflatten(0, (-1, len(self.weight))).transpose(0, 1)
        return torch.baddbmm(bias, of_groups, self.weight.transpose(1, 2)).transpose(0, 1).flatten(0, 1)


class GroupNorm(nn.GroupNorm):
    """Group norm, affine."""

    @override
    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised maps."""
        if self.weight.dim() == 1:
            return super().forward(input)
        normalised = F.group_norm(input, self.num_groups, eps=self.eps)
        return _affine(normalised, self.weight[..., None, None], self.bias[..., None, None])


class LayerNorm(nn.LayerNorm):
    """Layer norm of whole maps, affine."""

    @override
    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised maps."""
        if self.weight.dim() == len(self.normalized_shape):
            return super().forward(input)
        return _affine(F.layer_norm(input, self.normalized_shape, eps=self.eps), self.weight, self.bias)


class InstanceNorm(nn.GroupNorm):
    """Group norm with one channel a group, affine, eps 1e-5: each map alone has mean 0 and variance 1 before its scale
    and shift.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, eps=EPS)

    @override
    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The normalised maps."""
        return self._of_groups(_norm, input)

    def relu_then_average_pool(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """The normalised maps after ReLU and pooling, for a CPU."""
        return self._of_groups(normed_relu_pooled, input)

    def _of_groups(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], input: Tensor) -> Tensor:
        if self.weight.dim() == 1:
            return function(input, self.weight, self.bias)
        groups = len(self.weight)
        side_by_side = input.unflatten(0, (-1, groups)).flatten(1, 2)
        found = function(side_by_side, self.weight.flatten(), self.bias.flatten())
        return found.unflatten(1, (groups, -1)).flatten(0, 1)


def _norm(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    if machine.few_operations_are_fast(maps.device):
        return instance_norm(maps, scale, shift)
    return F.group_norm(maps, maps.shape[1], scale, shift, EPS)


def _affine(normalised: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Of maps of several groups, each with a scale and shift of its own."""
    return (normalised.unflatten(0, (-1, len(scale))) * scale + shift).flatten(0, 1)
