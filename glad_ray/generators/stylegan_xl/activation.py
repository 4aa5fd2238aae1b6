"""The alias-free leaky ReLU: upsample, bend, downsample (Karras et al., 2021, section 3.2).

Two forms of the same filters. oneDNN runs them as depthwise convolutions, two to four times faster on CPU than dense
matrices (zeros between samples are never touched, nor are samples that are thrown away); everywhere else they are two
small dense matrices a layer. Both want channels last. A map has four to five times as many samples at the filter rate
as before and after; it only ever exists there in blocks, in the backward pass too, for which the input alone is kept.
"""

import math
from collections.abc import Iterator
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from glad_ray.errors import UserError
from glad_ray.generators.stylegan_xl.linear import LEAKY_GAIN, SLOPE
from glad_ray.stylegan.settings import LayerSettings

CPU_BLOCK = 2**19
_GPU_BLOCK = 2**24
"""Samples of a block at the filter rate: what a CPU's cache holds, and enough to keep a GPU busy."""
_CHANNEL_STEP = 16
"""oneDNN's vectors hold so many channels."""


def stretch(
    x: Float[Tensor, "n c h w"], taps: Float[Tensor, " taps"], factor: int, crop: int
) -> Float[Tensor, "n c h2 w2"]:
    """Both axes: zeros between samples, then the filter wherever it touches a sample, less `crop` at each end."""
    channels, along_y, along_x = x.shape[1], taps[:, None], taps[None, :]
    x = F.conv_transpose2d(x, _shared(along_y, channels), stride=(factor, 1), padding=(crop, 0), groups=channels)
    return F.conv_transpose2d(x, _shared(along_x, channels), stride=(1, factor), padding=(0, crop), groups=channels)


def shrink(
    x: Float[Tensor, "n c h w"], taps: Float[Tensor, " taps"], factor: int, padding: int
) -> Float[Tensor, "n c h2 w2"]:
    """Both axes: the filter at every `factor`-th sample; the adjoint of `stretch` with `crop` = `padding`."""
    channels, along_y, along_x = x.shape[1], taps[:, None], taps[None, :]
    x = F.conv2d(x, _shared(along_y, channels), stride=(factor, 1), padding=(padding, 0), groups=channels)
    return F.conv2d(x, _shared(along_x, channels), stride=(1, factor), padding=(0, padding), groups=channels)


def stretch_matrix(taps: Float[Tensor, " taps"], size: int, factor: int, crop: int) -> Float[Tensor, "stretched size"]:
    """What `stretch` does along one axis, as a matrix."""
    return _banded(taps, (size - 1) * factor + len(taps) - 2 * crop, size, factor, crop).contiguous()


def shrink_matrix(taps: Float[Tensor, " taps"], size: int, factor: int, padding: int) -> Float[Tensor, "shrunk size"]:
    """What `shrink` does along one axis, as a matrix."""
    shrunk = (size + 2 * padding - len(taps)) // factor + 1
    return _banded(taps, size, shrunk, factor, padding).T.contiguous()


def _banded(taps: Float[Tensor, " taps"], rows: int, columns: int, factor: int, shift: int) -> Float[Tensor, "r c"]:
    """Entry (row, column) is tap number row + shift - factor * column, 0 where there is none: copied, so exact."""
    row, column = (torch.arange(count, device=taps.device) for count in (rows, columns))
    number = row[:, None] + shift - factor * column
    inside = (number >= 0) & (number < len(taps))
    return taps[number.clamp(0, len(taps) - 1)] * inside


@final
class FilteredLeakyReLU(nn.Module):
    """Frozen filters of one layer and the nonlinearity between them."""

    up_taps: Tensor
    up_matrix: Tensor
    down_taps: Tensor
    down_matrix: Tensor | None

    def __init__(self, settings: LayerSettings, up_filter: Tensor, down_filter: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.channels = settings.out_channels
        self.limit = math.inf if settings.clamp is None else settings.clamp
        low = settings.padding[0] + settings.conv_crop * settings.up_factor
        self.crop = settings.up_taps - 1 - low
        if settings.padding[0] - settings.padding[1] != settings.up_factor - 1 or self.crop < 0:
            raise UserError(
                f"Layer {settings.name} pads its filters by {settings.padding}, which is not centred: "
                "only StyleGAN-XL's own layout is supported."
            )
        # A leaky ReLU commutes with a positive factor, so that its gain joins that of the zeros inserted.
        gain = settings.up_factor * math.sqrt(LEAKY_GAIN)
        self.register_buffer("up_taps", up_filter * gain)
        self.register_buffer(
            "up_matrix", stretch_matrix(self.up_taps, settings.conv_size, settings.up_factor, self.crop)
        )
        self.register_buffer("down_taps", down_filter)
        radial = down_filter.ndim == 2
        matrix = None if radial else shrink_matrix(down_filter, settings.filter_size, settings.down_factor, 0)
        self.register_buffer("down_matrix", matrix)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """The layer's output from its biased convolution."""
        return _FilteredLeakyReLU.apply(x, self)

    def bent(self, x: Tensor) -> Tensor:
        """The activation at the filter rate."""
        return F.leaky_relu_(self.up(x), SLOPE).clamp_(-self.limit, self.limit)

    def unbend_(self, gradient: Tensor, bent: Tensor) -> Tensor:
        """The gradient before the nonlinearity, in place; which slope a sample took shows in its sign and size."""
        if self.limit < math.inf:
            limits = (-self.limit, self.limit)
            torch.ops.aten.hardtanh_backward.grad_input(gradient, bent, *limits, grad_input=gradient)
        return torch.ops.aten.leaky_relu_backward.grad_input(gradient, bent, SLOPE, True, grad_input=gradient)

    def blocks(self, x: Tensor) -> Iterator[tuple[slice, slice]]:
        """Images and channels to be filtered at a time."""
        samples = (CPU_BLOCK if x.device.type == "cpu" else _GPU_BLOCK) // self.settings.filter_size**2
        channels = self.channels if samples >= self.channels else max(samples // _CHANNEL_STEP, 1) * _CHANNEL_STEP
        images = max(samples // self.channels, 1)
        for image in range(0, x.shape[0], images):
            for channel in range(0, self.channels, channels):
                yield slice(image, image + images), slice(channel, channel + channels)

    def up(self, x: Tensor) -> Tensor:
        """To the filter rate; a single tap along each axis is a factor."""
        if self.settings.up_taps == 1:
            return x * self.up_taps.square()
        if depthwise_is_fast(x):
            return stretch(x, self.up_taps, self.settings.up_factor, self.crop)
        return _along_both(self.up_matrix, x)

    def up_adjoint(self, gradient: Tensor) -> Tensor:
        """The adjoint of `up`."""
        if self.settings.up_taps == 1:
            return gradient.mul_(self.up_taps.square())
        if depthwise_is_fast(gradient):
            return shrink(gradient, self.up_taps, self.settings.up_factor, self.crop)
        return _along_both(self.up_matrix.T, gradient)

    def down(self, x: Tensor) -> Tensor:
        """To the output rate; a single tap is 1."""
        if self.settings.down_taps == 1:
            return x
        if self.down_matrix is None:
            kernel = _shared(self.down_taps, x.shape[1])
            return F.conv2d(x, kernel, stride=self.settings.down_factor, groups=x.shape[1])
        if depthwise_is_fast(x):
            return shrink(x, self.down_taps, self.settings.down_factor, 0)
        return _along_both(self.down_matrix, x)

    def down_adjoint(self, gradient: Tensor) -> Tensor:
        """The adjoint of `down`."""
        if self.settings.down_taps == 1:
            return gradient.clone()
        if self.down_matrix is None:
            kernel = _shared(self.down_taps, gradient.shape[1])
            return F.conv_transpose2d(gradient, kernel, stride=self.settings.down_factor, groups=gradient.shape[1])
        if depthwise_is_fast(gradient):
            return stretch(gradient, self.down_taps, self.settings.down_factor, 0)
        return _along_both(self.down_matrix.T, gradient)


class _FilteredLeakyReLU(torch.autograd.Function):
    """Saves its input alone and upsamples it again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: FilteredLeakyReLU) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        y = _like(x, layer.settings.out_size)
        for block in layer.blocks(x):
            y[block] = layer.down(layer.bent(x[block]))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        layer: FilteredLeakyReLU = ctx.layer
        (x,) = ctx.saved_tensors
        x_gradient = _like(x, layer.settings.conv_size)
        for block in layer.blocks(x):
            bent = layer.bent(x[block])
            x_gradient[block] = layer.up_adjoint(layer.unbend_(layer.down_adjoint(gradient[block]), bent))
        return x_gradient, None


def depthwise_is_fast(x: Float[Tensor, "..."]) -> bool:
    """Whether oneDNN does the filtering."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def _like(x: Tensor, size: int) -> Tensor:
    shape = (*x.shape[:2], size, size)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _along_both(matrix: Float[Tensor, "size2 size"], x: Float[Tensor, "n c size size"]) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    x = (matrix @ x.flatten(2)).unflatten(2, x.shape[2:])
    return (matrix @ x).permute(0, 3, 1, 2)


def _shared(kernel: Tensor, channels: int) -> Tensor:
    return kernel.expand(channels, 1, *kernel.shape)
