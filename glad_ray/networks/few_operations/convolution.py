"""A convolution that gives the gradients of its parameters for each of several groups of images, as DC needs them for
classes.

Image i is of group i modulo the number of groups: then the maps of a group lie side by side as channels, too, and no
product with them needs a copy.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_ATEN: Any = torch.ops.aten
_Geometry = tuple[tuple[int, ...], tuple[int, ...]]
"""stride and padding"""


def convolution_of_groups(
    maps: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "k o i kh kw"],
    bias: Float[Tensor, "*k o"] | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> Float[Tensor, "n o h2 w2"]:
    """The convolution by `weight[0]`, which is that of every group; a bias is of every group too, or has no gradient.

    The gradient can be differentiated in the maps, and not in the weights.
    """
    assert weight.stride(0) == 0, "one network has one weight, seen as that of every group"
    convolved: Tensor = _Convolved.apply(maps, weight, bias, (stride, padding))
    return convolved


def _convolve(maps: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry, groups: int) -> Tensor:
    stride, padding = geometry
    convolved: Tensor = _ATEN.convolution(maps, weight, bias, stride, padding, [1, 1], False, [0, 0], groups)
    return convolved


def _gradients(
    grad: Tensor, maps: Tensor, weight: Tensor, geometry: _Geometry, groups: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of the maps, the weight and the bias; where that of the maps is not wanted, of the weight only its shape is
    used.
    """
    stride, padding = geometry
    gradients: tuple[Tensor, Tensor, Tensor] = _ATEN.convolution_backward(
        grad, maps, weight, [len(weight)], stride, padding, [1, 1], False, [0, 0], groups, list(wanted)
    )
    return gradients


def _side_by_side(maps: Tensor, groups: int) -> Tensor:
    """The maps of every group as channels."""
    n, c, h, w = maps.shape
    return maps.reshape(n // groups, groups * c, h, w)


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.geometry, ctx.biased = geometry, bias is not None and bias.dim() == 2
        ctx.save_for_backward(maps, weight)
        return _convolve(maps, weight[0], bias[0] if ctx.biased and bias is not None else bias, geometry, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[0], ctx.biased
        return *_Gradient.apply(grad, *ctx.saved_tensors, ctx.geometry, wanted), None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, maps: Tensor, weight: Tensor, geometry: _Geometry, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, maps, weight)
        groups, of_maps, biased = len(weight), *wanted
        maps_grad = _gradients(grad, maps, weight[0], geometry, 1, (True, False, False))[0] if of_maps else None
        shape = weight.new_empty(groups * weight.shape[1], *weight.shape[2:])
        grads = _side_by_side(grad, groups), _side_by_side(maps, groups)
        _, weight_grad, bias_grad = _gradients(*grads, shape, geometry, groups, (False, True, biased))
        return maps_grad, weight_grad.view_as(weight), bias_grad.view(groups, -1) if biased else None

    @staticmethod
    def backward(
        ctx: Any, to_maps: Tensor | None, to_weight: Tensor | None, to_bias: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """With u, U and b what comes back for the three gradients: of the gradient g, u * w + x * U + b; of the maps x,
        what g gives back through U.
        """
        grad, maps, weight = ctx.saved_tensors
        groups = len(weight)
        of_grad = None if to_maps is None else _convolve(to_maps, weight[0], None, ctx.geometry, 1)
        if to_weight is None:
            assert to_bias is None, "not without the weight"
            return of_grad, None, None, None, None
        side_by_side = _side_by_side(maps, groups)
        wide = to_weight.flatten(0, 1)
        bias = None if to_bias is None else to_bias.flatten()
        by_weight = _convolve(side_by_side, wide, bias, ctx.geometry, groups).view_as(grad)
        of_maps = None
        if ctx.needs_input_grad[1]:
            of_maps = _gradients(
                _side_by_side(grad, groups), side_by_side, wide, ctx.geometry, groups, (True, False, False)
            )[0].view_as(maps)
        return by_weight if of_grad is None else of_grad + by_weight, of_maps, None, None, None
