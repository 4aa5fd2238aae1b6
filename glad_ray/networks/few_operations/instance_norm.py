"""Instance normalisation whose gradient can be differentiated in thirteen operations.

Where the graph of group norm's gradient is kept, PyTorch computes that gradient by some hundred and fifty small
operations. A CPU takes 1 to 10 % longer for the form here.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.networks.batching import apart, side_by_side

EPS = 1e-5


def instance_norm(
    maps: Float[Tensor, "n c h w"], scale: Float[Tensor, " c"], shift: Float[Tensor, " c"]
) -> Float[Tensor, "n c h w"]:
    """Every map less its mean, over the root of its variance plus eps, times its channel's scale, plus its shift."""
    normalised: Tensor = _Normalise.apply(maps, scale, shift)[0]
    return normalised


def _normalise(maps: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised maps y = gamma xhat + beta, mean and r, with xhat = (x - mean) r, r = 1 / sqrt(variance + eps)."""
    n, c, h, w = maps.shape
    return torch.native_group_norm(maps, scale, shift, n, c, h * w, c, EPS)


def _gradient(
    grad: Tensor, maps: Tensor, mean: Tensor, r: Tensor, scale: Tensor | None, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """With g the gradient of y, that of x: gamma r (g - mean(g) - xhat mean(g xhat)); of gamma: the sum of g xhat; of
    beta: the sum of g. None for what is not wanted.
    """
    n, c, h, w = maps.shape
    gradients: tuple[Tensor, Tensor | None, Tensor | None] = torch.ops.aten.native_group_norm_backward(
        grad.contiguous(), maps.contiguous(), mean, r, scale, n, c, h * w, c, list(wanted)
    )
    return gradients


def _of_each_map(v: Tensor, maps: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """P(v) = r (v - mean(v) - xhat mean(v xhat)), and for each map the sum of v xhat."""
    n, c, h, w = maps.shape
    # As maps of one image: then each has a scale of its own, whose gradient is that sum.
    one = (1, n * c, h, w)
    of_maps, of_scales, _ = _gradient(
        v.reshape(one), maps.reshape(one), mean.view(1, -1), r.view(1, -1), None, (True, True, False)
    )
    assert of_scales is not None, "it is wanted"
    return of_maps.view_as(maps), of_scales


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(maps: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _normalise(maps, scale, shift)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        maps, scale, _ = inputs
        _, mean, r = output
        ctx.mark_non_differentiable(mean, r)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(maps, scale, mean, r)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *given: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Several networks at once (`torch.vmap`): their channels side by side are those of one."""
        return apart(info.batch_size, _Normalise.apply(*side_by_side(info.batch_size, in_dims, given)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if grad is None:
            return None, None, None
        gradients: tuple[Tensor, Tensor, Tensor] = _Gradient.apply(
            grad, *ctx.saved_tensors, ctx.needs_input_grad[1], ctx.needs_input_grad[2]
        )
        return gradients


class _Gradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor, maps: Tensor, scale: Tensor, mean: Tensor, r: Tensor, of_scale: bool, of_shift: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return _gradient(grad, maps, mean, r, scale, (True, of_scale, of_shift))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:5])

    @staticmethod
    def backward(
        ctx: Any, to_maps: Tensor | None, to_scale: Tensor | None, to_shift: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """With u, a and b what comes back for the three gradients, and P(v) the gradient of x from that of y, v, where
        gamma is 1. From dxhat = P(dx) and dr = -r^2 mean(dx xhat):

        of g: gamma P(u) + a xhat + b; of gamma: the sum of <u, P(g)>;
        of x: (a - gamma r mean(u xhat)) P(g) - gamma r mean(g xhat) P(u) - gamma r mean(u P(g)) xhat.
        """
        grad, maps, scale, mean, r = ctx.saved_tensors
        n, c, h, w = maps.shape
        if to_maps is None and to_scale is None and to_shift is None:
            return (None,) * 7
        if to_maps is None:
            to_maps = torch.zeros_like(maps)
        if to_shift is not None and to_scale is None:
            to_scale = torch.zeros_like(scale)
        xhat = _normalise(maps, None, None)[0]
        p_of_g, g_xhat = _of_each_map(grad, maps, mean, r)
        p_of_u, u_xhat = _of_each_map(to_maps, maps, mean, r)
        u_p = (to_maps.reshape(n * c, 1, h * w) @ p_of_g.view(n * c, h * w, 1)).view(n * c)
        of_scale = u_p.view(n, c).sum(0) if ctx.needs_input_grad[2] else None
        gamma, share = scale.view(c, 1, 1), (r.view(n, c) * scale).view(n * c)
        by_g, by_u, by_p = (each.view(n, c, 1, 1) for each in torch._foreach_mul([g_xhat, u_xhat, u_p], [share] * 3))
        if to_scale is None:
            of_g, factor = gamma * p_of_u, by_u * (-1 / (h * w))
        else:
            of_g = torch.addcmul(_normalise(maps, to_scale, to_shift)[0], gamma, p_of_u)
            factor = torch.sub(to_scale.view(c, 1, 1), by_u, alpha=1 / (h * w))
        of_x = torch.addcmul(p_of_g * factor, by_g, p_of_u, value=-1 / (h * w))
        of_x = torch.addcmul(of_x, by_p, xhat, value=-1 / (h * w))
        return of_g, of_x, of_scale, None, None, None, None
