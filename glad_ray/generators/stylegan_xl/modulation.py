"""Convolution with a kernel that each image's style scales (Karras et al., 2020, section 2.2).

Scaling the input channels and the outputs by the style gives exactly what a kernel per image would, with one shared
kernel: no grouped convolution, no kernels to store, and for frozen weights no gradient of them.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_EPSILON = 1e-8


def demodulated_kernel(
    weight: Float[Tensor, "c_out c_in k k"],
) -> tuple[Float[Tensor, "c_out c_in k k"], Float[Tensor, "c_in c_out"]]:
    """The kernel with unit power per output channel, and its power by input and output channel, for demodulation."""
    kernel = weight * torch.rsqrt(weight.square().mean(dim=(1, 2, 3), keepdim=True))
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
    """Gain * d * (kernel * (style x)) + bias, fully padded, without the `crop` outermost outputs at each border.

    d brings every output channel to unit power for an input of unit power. Only the proportions of a style matter, so
    that it is scaled to unit power first, per image (the released code: per batch, which would make an image depend,
    if only by 1e-8, on those beside it).
    """
    style = style * torch.rsqrt(style.square().mean(dim=1, keepdim=True))
    demodulation = gain * torch.rsqrt(style.square() @ power + _EPSILON)
    padding = kernel.shape[2] - 1 - crop
    if padding < 0:
        x = x[:, :, -padding:padding, -padding:padding]
    y = F.conv2d(x * style[:, :, None, None], kernel, padding=max(padding, 0))
    return torch.addcmul(bias[:, None, None], y, demodulation[:, :, None, None])
