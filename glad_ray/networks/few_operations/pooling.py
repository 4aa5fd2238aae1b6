"""ReLU and average pooling as one function: PyTorch's two make zeros, and add them, where their gradients are
differentiated.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pooled_relu(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Means of the positive parts in 2 x 2 windows, stride 2; an odd last row or column is left out."""
    pooled: Tensor = _Pooled.apply(maps)
    return pooled


class _Pooled(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(maps: Tensor) -> Tensor:
        return averages(F.relu(maps))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gradient: Tensor = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradient


class _Gradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, maps: Tensor) -> Tensor:
        if maps.device.type != "cpu" or maps.shape[-2] % 2 or maps.shape[-1] % 2 or not maps.is_contiguous():
            grad = grad.contiguous()
            spread = torch.ops.aten.avg_pool2d_backward(grad, maps, [2, 2], [2, 2], [0, 0], False, True, None)
            return torch.ops.aten.threshold_backward(spread, maps, 0)
        # That kernel is scalar on a CPU. A product with a quarter for each column of a window gives the same bits.
        rows = (grad @ _columns(maps.shape[-1], maps.dtype)).unsqueeze(-2)
        windows = maps.unflatten(-2, (-1, 2))
        return torch.ops.aten.threshold_backward(rows.expand_as(windows), windows, 0).flatten(-3, -2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, to_maps: Tensor) -> tuple[Tensor, None]:
        """Of the gradient of y; where the maps are positive does not change with them."""
        (maps,) = ctx.saved_tensors
        return averages(torch.ops.aten.threshold_backward(to_maps, maps, 0)), None


def averages(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Means of 2 x 2 windows, stride 2; an odd last row or column is left out."""
    if maps.device.type != "cpu" or not maps.is_contiguous():
        return F.avg_pool2d(maps, 2)
    # PyTorch's kernel for this layout on CPU is scalar. Adding slices takes about 10 % off a ConvNet's training step of
    # 10 images; of 64, 5 to 10 % with an allocator that keeps its pages and nothing measurable otherwise.
    height, width = (side // 2 * 2 for side in maps.shape[-2:])
    rows = maps[..., 0:height:2, :] + maps[..., 1:height:2, :]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) * 0.25


@cache
def _columns(width: int, dtype: torch.dtype) -> Float[Tensor, "half width"]:
    return torch.eye(width // 2, dtype=dtype, device="cpu").repeat_interleave(2, dim=1) / 4
