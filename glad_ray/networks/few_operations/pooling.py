"""ReLU and average pooling as one function: PyTorch's two make zeros, and add them, where their gradients are
differentiated.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from glad_ray.networks.batching import batched


def pooled_relu(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Means of the positive parts in 2 x 2 windows, stride 2; an odd last row or column is left out."""
    pooled: Tensor = _Pooled.apply(maps)
    return pooled


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(maps: Tensor) -> Tensor:
        return F.avg_pool2d(F.relu(maps), 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], maps: Tensor) -> tuple[Tensor, int]:
        """Several networks at once (`torch.vmap`): their channels side by side are those of one."""
        side_by_side = batched(maps, in_dims[0], info.batch_size, 1).flatten(1, 2)
        return _Pooled.apply(side_by_side).unflatten(1, (info.batch_size, -1)), 1

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gradient: Tensor = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradient


class _Gradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, maps: Tensor) -> Tensor:
        spread = torch.ops.aten.avg_pool2d_backward(grad.contiguous(), maps, [2, 2], [2, 2], [0, 0], False, True, None)
        return torch.ops.aten.threshold_backward(spread, maps, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, to_maps: Tensor) -> tuple[Tensor, None]:
        """Of the gradient of y; where the maps are positive does not change with them."""
        (maps,) = ctx.saved_tensors
        return F.avg_pool2d(torch.ops.aten.threshold_backward(to_maps, maps, 0), 2), None
