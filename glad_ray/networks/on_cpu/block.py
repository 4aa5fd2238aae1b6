"""Instance norm, ReLU and average pooling of a block as one function, for a CPU.

A CPU spends a third of a ConvNet's training step on these three, waiting for memory. Here a batch passes through all of
them in parts that stay in the CPU's cache, the backward pass makes the normalised maps again from what went in, and the
gradient of the gradient is in closed form.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glad_ray.networks.batching import apart, side_by_side
from glad_ray.networks.few_operations.instance_norm import EPS
from glad_ray.networks.on_cpu.windows import average_pool, from_columns, from_rows

WHOLE = 2**21
"""numbers of maps up to which a batch is computed with at once"""
PART = 2**17
"""numbers of maps that are computed with at a time in a larger one, at least those of one image"""
_ATEN: Any = torch.ops.aten


def normed_relu_pooled(
    maps: Float[Tensor, "n c h w"], scale: Float[Tensor, " c"], shift: Float[Tensor, " c"]
) -> Float[Tensor, "n c h2 w2"]:
    """Every map less its mean, over the root of its variance plus eps, times its channel's scale, plus its shift; of
    what is positive of that, means of 2 x 2 windows, stride 2. An odd last row or column is left out of the windows.
    """
    pooled: Tensor = _Block.apply(maps, scale, shift)[0]
    return pooled


def _normalise(maps: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised maps y = gamma xhat + beta, and of every map its mean and r, with xhat = (x - mean) r and
    r = 1 / sqrt(variance + eps).
    """
    n, c, h, w = maps.shape
    return torch.native_group_norm(maps, scale, shift, n, c, h * w, c, EPS)


def _normalised(maps: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, r: Tensor) -> Tensor:
    """The same y from a mean and an r that are known."""
    by = scale * r
    return (maps * by[..., None, None]).add_((shift - mean * by)[..., None, None])


def _unpool(grad: Tensor, maps: Tensor) -> Tensor:
    """At each place of a window the number of the window, for maps of this size."""
    wide = from_columns(grad, grad, maps.shape[-1])
    return from_rows(wide, wide, maps.shape[-2])


def _where_positive(values: Tensor, maps: Tensor) -> Tensor:
    """The values themselves, with zeros where the maps are not positive."""
    zeroed: Tensor = _ATEN.threshold_backward.grad_input(values, maps, 0, grad_input=values)
    return zeroed


def _in_parts(function: Callable[..., tuple[Tensor, ...]], *batches: Tensor) -> tuple[Tensor, ...]:
    """What a function returns of batches, part after part: results with the images in front side by side, those with a
    number for each channel alone added up.
    """
    images, numbers = len(batches[0]), max(map(Tensor.numel, batches))
    if numbers <= WHOLE:
        return function(*batches)
    at_once = max(1, PART * images // numbers)
    whole: list[Tensor] = []
    for first in range(0, images, at_once):
        part = slice(first, first + at_once)
        results = function(*(each[part] for each in batches))
        whole = whole or [
            torch.zeros_like(each) if each.dim() == 1 else each.new_empty(images, *each.shape[1:]) for each in results
        ]
        for into, each in zip(whole, results, strict=True):
            if each.dim() == 1:
                into += each
            else:
                into[part] = each
    return tuple(whole)


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(maps: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        def of_part(maps: Tensor) -> tuple[Tensor, ...]:
            normed, mean, r = _normalise(maps, scale, shift)
            return average_pool(normed.relu_()), mean, r

        return _in_parts(of_part, maps.contiguous())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        _, mean, r = output
        ctx.mark_non_differentiable(mean, r)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, mean, r)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *given: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """Several networks at once (`torch.vmap`): their channels side by side are those of one."""
        return apart(info.batch_size, _Block.apply(*side_by_side(info.batch_size, in_dims, given)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Tensor) -> tuple[Tensor | None, ...]:
        if grad is None:
            return None, None, None
        gradients: tuple[Tensor, ...] = _Gradient.apply(grad, *ctx.saved_tensors)
        return gradients


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        grad: Tensor, maps: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, r: Tensor
    ) -> tuple[Tensor, ...]:
        """With g the gradient of y, that of x: gamma r (g - mean(g) - xhat mean(g xhat)); of gamma: the sum of g xhat;
        of beta: the sum of g.
        """
        # Four times g is what is computed with, and a quarter of gamma: to the same bits.
        quarter = scale / 4

        def of_part(grad: Tensor, maps: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, ...]:
            n, c, h, w = maps.shape
            g = _where_positive(_unpool(grad, maps), _normalised(maps, scale, shift, mean, r))
            of_x, *of_affine = _ATEN.native_group_norm_backward(
                g, maps, mean, r, quarter, n, c, h * w, c, [True, True, True]
            )
            return of_x, *(each / 4 for each in of_affine)

        return _in_parts(of_part, grad, maps.contiguous(), mean, r)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_maps: Tensor | None, to_scale: Tensor | None, to_shift: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """With u, a and b what comes back for the three gradients, P(v) = r (v - mean(v) - xhat mean(v xhat)), and
        A = a - gamma r mean(u xhat):

        of g: gamma P(u) + a xhat + b; of gamma: the sum of <u, P(g)>;
        of x: A P(g) - gamma r mean(g xhat) P(u) - gamma r mean(u P(g)) xhat.

        Both are sums of g, u and x, each times a number for every map, and one such number.
        """
        grad, maps, scale, shift, mean, r = ctx.saved_tensors
        if to_maps is None and to_scale is None and to_shift is None:
            return (None,) * 6
        a = torch.zeros_like(scale) if to_scale is None else to_scale
        b = torch.zeros_like(scale) if to_shift is None else to_shift

        def of_part(grad: Tensor, maps: Tensor, mean: Tensor, r: Tensor, u: Tensor) -> tuple[Tensor, ...]:
            _, _, h, w = maps.shape
            y = _normalised(maps, scale, shift, mean, r)
            g = _where_positive(_unpool(grad / 4, maps), y)
            g_xhat, g_mean = (each / (h * w) for each in _sums(g, maps, mean, r))
            u_xhat, u_mean = (each / (h * w) for each in _sums(u, maps, mean, r))
            u_g = _sums(u, g, torch.zeros_like(mean), torch.ones_like(r))[0] / (h * w)
            u_p = r * (u_g - u_mean * g_mean - u_xhat * g_xhat)
            by_u = scale * r
            by_xhat = a - by_u * u_xhat
            of_g = _combined(u, by_u, maps, by_xhat * r, b - by_u * u_mean - by_xhat * r * mean)
            by_g = by_xhat * r
            more = by_u * r * g_xhat
            by_x = (more * u_xhat - by_g * g_xhat - by_u * u_p) * r
            of_x = _combined(g, by_g, maps, by_x, more * u_mean - by_g * g_mean - by_x * mean)
            of_x.addcmul_(u, more[..., None, None], value=-1)
            return average_pool(_where_positive(of_g, y)), of_x, u_p.sum(0) * (h * w)

        u = torch.zeros_like(maps) if to_maps is None else to_maps.contiguous()
        of_g, of_x, of_scale = _in_parts(of_part, grad, maps.contiguous(), mean, r, u)
        return of_g, of_x, of_scale, None, None, None


def _sums(v: Tensor, maps: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Of each map the sums of v (x - mean) r and of v, (n, c)."""
    n, c, h, w = maps.shape
    # As maps of one image: then each has a scale and a shift of its own, whose gradients these are.
    one = (1, n * c, h, w)
    _, products, sums = _ATEN.native_group_norm_backward(
        v.view(one), maps.view(one), mean.view(1, -1), r.view(1, -1), None, 1, n * c, h * w, n * c, [False, True, True]
    )
    return products.view(n, c), sums.view(n, c)


def _combined(first: Tensor, by_first: Tensor, second: Tensor, by_second: Tensor, plus: Tensor) -> Tensor:
    """A sum of two batches of maps, each times a number for every map, and of one such number."""
    by_first, by_second, plus = (each[..., None, None] for each in (by_first, by_second, plus))
    return (first * by_first).addcmul_(second, by_second).add_(plus)
