"""2 x 2 max pooling by comparisons of whole rows and columns.

PyTorch's kernel for this layout compares number by number. With the backward pass it takes twice as long.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glad_ray.networks.batching import apart, side_by_side
from glad_ray.networks.on_cpu.windows import columns, from_columns, from_rows, rows

_ATEN: Any = torch.ops.aten


def max_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """The largest of 2 x 2 windows, stride 2; an odd last row or column is left out. The gradient goes to the first of
    equals, row by row, as that of `F.max_pool2d` does.
    """
    pooled: Tensor = _MaxPool.apply(maps)[0]
    return pooled


def _where_larger(values: Tensor, second: Tensor, first: Tensor) -> Tensor:
    """The values where the second is larger than the first, else 0."""
    chosen: Tensor = _ATEN.threshold_backward(values, second - first, 0)
    return chosen


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(maps: Tensor) -> tuple[Tensor, Tensor]:
        of_columns = torch.maximum(*columns(maps))
        return torch.maximum(*rows(of_columns)), of_columns

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], maps: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Several networks at once (`torch.vmap`): their channels side by side are those of one."""
        return apart(info.batch_size, _MaxPool.apply(*side_by_side(info.batch_size, in_dims, [maps])))

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> Tensor | None:
        if grad is None:
            return None
        gradient: Tensor = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradient


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(grad: Tensor, maps: Tensor, of_columns: Tensor) -> Tensor:
        left, right = columns(maps)
        upper, lower = rows(of_columns)
        of_lower = _where_larger(grad, lower, upper)
        wanted = from_rows(grad - of_lower, of_lower, maps.shape[-2])
        of_right = _where_larger(wanted, right, left)
        return from_columns(wanted - of_right, of_right, maps.shape[-1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_maps: Tensor) -> tuple[Tensor, None, None]:
        """Of the gradient of what was pooled: that of the largest number of each window."""
        maps, of_columns = ctx.saved_tensors
        left, right = columns(maps)
        to_left, to_right = columns(to_maps)
        upper, lower = rows(of_columns)
        to_upper, to_lower = rows(to_left + _where_larger(to_right - to_left, right, left))
        return to_upper + _where_larger(to_lower - to_upper, lower, upper), None, None
