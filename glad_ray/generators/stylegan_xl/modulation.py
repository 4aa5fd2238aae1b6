"""Convolution with a kernel that each image's style scales (Karras et al., 2020, section 2.2).

Scaling the input channels and the outputs by the style gives exactly what a kernel per image would, with one shared
kernel: no grouped convolution, no kernels to store, and for frozen weights no gradient of them. The backward pass then
needs no more than the input and the output.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glad_ray.generators.stylegan_xl import winograd

_EPSILON = 1e-8


def demodulated_kernel(
    weight: Float[Tensor, "c_out c_in k k"],
) -> tuple[Float[Tensor, "c_out c_in k k"], Float[Tensor, "c_in c_out"]]:
    """The kernel, each output channel a sum of squares of 1, and its power by input and output channel."""
    kernel = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True))
    return kernel, kernel.square().sum(dim=(2, 3)).T.contiguous()


def modulated_convolution(
    x: Float[Tensor, "n c_in h w"],
    style: Float[Tensor, "n c_in"],
    kernel: Float[Tensor, "c_out c_in k k"],
    power: Float[Tensor, "c_in c_out"],
    bias: Float[Tensor, " c_out"],
    gain: Float[Tensor, ""],
    crop: int = 0,
) -> Float[Tensor, "n c_out h2 w2"]:
    """(kernel * (gain style x)) d + bias, fully padded, without the `crop` outermost outputs at each border.

    d brings every output channel to unit power for an input of unit power. Only the proportions of a style matter, so
    that it is scaled to unit power first, per image (the released code: per batch, which would make an image depend,
    if only by 1e-8, on those beside it). `x`, `kernel` and `bias` may be of half precision beside a style that is not:
    the gain brings the input to unit power and the kernel keeps it there, so that no sum outgrows the output much.
    """
    style = style * torch.rsqrt(style.square().mean(dim=1, keepdim=True))
    demodulation = torch.rsqrt(style.square() @ power + _EPSILON)
    style, padding = style * gain, kernel.shape[2] - 1 - crop
    if padding < 0:
        x, padding = F.pad(x, [padding] * 4), 0
    if kernel.requires_grad or bias.requires_grad:
        y = _direct(x, style, kernel, padding)
        return torch.addcmul(bias[:, None, None], y, _per_map(demodulation, y))
    return _FrozenConvolution.apply(x, style, demodulation, kernel, bias, padding)


class _FrozenConvolution(torch.autograd.Function):
    """Saves input and output, from which the gradients of style and demodulation follow, and nothing in between."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, style: Tensor, demodulation: Tensor, kernel: Tensor, bias: Tensor, padding: int
    ) -> Tensor:
        convolve = winograd.convolve if winograd.is_faster(x, kernel) else _direct
        y = convolve(x, style, kernel, padding)
        torch.addcmul(bias[:, None, None], y, _per_map(demodulation, y), out=y)
        ctx.padding = padding
        ctx.save_for_backward(
            x if ctx.needs_input_grad[1] else None,
            y if ctx.needs_input_grad[2] else None,
            *(style, demodulation, kernel, bias),
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, style, demodulation, kernel, bias = ctx.saved_tensors
        style_gradient = demodulation_gradient = None
        if y is not None:
            by_bias = bias * gradient.sum(dim=(2, 3), dtype=style.dtype)
            demodulation_gradient = (_dots(y, gradient, style.dtype) - by_bias) / demodulation
        adjoint = winograd.convolve_adjoint if winograd.is_faster(gradient, kernel) else _direct_adjoint
        x_gradient = adjoint(gradient, demodulation, kernel, ctx.padding)
        if x is not None:
            style_gradient = _dots(x, x_gradient, style.dtype)
        return x_gradient.mul_(_per_map(style, x_gradient)), style_gradient, demodulation_gradient, None, None, None


def _direct(x: Tensor, scales: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """The convolution of the scaled input."""
    return F.conv2d(x * _per_map(scales, x), kernel, padding=padding)


def _direct_adjoint(y: Tensor, scales: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """The adjoint convolution of the scaled input."""
    return F.conv_transpose2d(y * _per_map(scales, y), kernel, padding=padding)


def _per_map(scales: Float[Tensor, "n c"], x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 1 1"]:
    return scales.to(x.dtype)[:, :, None, None]


def _dots(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"], precision: torch.dtype) -> Float[Tensor, "n c"]:
    # Image by image: the product of all of them would be as large as what the layer keeps.
    dots = torch.empty(a.shape[:2], dtype=precision, device=a.device)
    for one, other, dot in zip(a, b, dots, strict=True):
        torch.sum(one.to(precision) * other, dim=(1, 2), out=dot)
    return dots
