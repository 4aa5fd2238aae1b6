"""2 x 2 max pooling by comparisons of whole rows and columns.

PyTorch's kernel for this layout compares number by number. With the backward pass it takes twice as long.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glad_ray.networks.few_operations.batching import batched

_ATEN: Any = torch.ops.aten


def max_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """The largest of 2 x 2 windows, stride 2; an odd last row or column is left out. The gradient goes to the first of
    equals, row by row, as that of `F.max_pool2d` does.
    """
    pooled: Tensor = _MaxPool.apply(maps)[0]
    return pooled


def _windows(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The left and the right column of every window, (n, c, h, w2)."""
    height, width = (side // 2 * 2 for side in maps.shape[-2:])
    return maps[..., :height, 0:width:2], maps[..., :height, 1:width:2]


def _rows(columns: Tensor) -> tuple[Tensor, Tensor]:
    """The upper and the lower number of every column, (n, c, h2, w2)."""
    return columns[..., 0::2, :], columns[..., 1::2, :]


def _where_larger(values: Tensor, second: Tensor, first: Tensor) -> Tensor:
    """The values where the second is larger than the first, else 0."""
    chosen: Tensor = _ATEN.threshold_backward(values, second - first, 0)
    return chosen


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(maps: Tensor) -> tuple[Tensor, Tensor]:
        columns = torch.maximum(*_windows(maps))
        return torch.maximum(*_rows(columns)), columns

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], maps: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Several networks at once (`torch.vmap`): their channels side by side are those of one."""
        side_by_side = batched(maps, in_dims[0], info.batch_size, 1).flatten(1, 2)
        pooled, columns = (each.unflatten(1, (info.batch_size, -1)) for each in _MaxPool.apply(side_by_side))
        return (pooled, columns), (1, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> Tensor | None:
        if grad is None:
            return None
        gradient: Tensor = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradient


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(grad: Tensor, maps: Tensor, columns: Tensor) -> Tensor:
        left, right = _windows(maps)
        upper, lower = _rows(columns)
        of_lower = _where_larger(grad, lower, upper)
        of_columns = torch.stack((grad - of_lower, of_lower), -2).flatten(-3, -2)
        of_right = _where_larger(of_columns, right, left)
        # Side by side as the parts of complex numbers, which is a ninth of the time of `torch.stack`.
        of_maps = torch.view_as_real(torch.complex(of_columns - of_right, of_right)).flatten(-2)
        right_of_them, below_them = (maps.shape[side] - of_maps.shape[side] for side in (-1, -2))
        return F.pad(of_maps, (0, right_of_them, 0, below_them)) if right_of_them or below_them else of_maps

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_maps: Tensor) -> tuple[Tensor, None, None]:
        """Of the gradient of what was pooled: that of the largest number of each window."""
        maps, columns = ctx.saved_tensors
        left, right = _windows(maps)
        to_left, to_right = _windows(to_maps)
        upper, lower = _rows(columns)
        to_upper, to_lower = _rows(to_left + _where_larger(to_right - to_left, right, left))
        return to_upper + _where_larger(to_lower - to_upper, lower, upper), None, None
