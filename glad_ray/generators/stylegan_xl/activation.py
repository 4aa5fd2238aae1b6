"""The alias-free leaky ReLU: upsample, bend, downsample (Karras et al., 2021, section 3.2).

Two forms of the same filters. oneDNN runs them as depthwise convolutions, two to four times faster on CPU than dense
matrices (zeros between samples are never touched, nor are samples that are thrown away); everywhere else they are two
small dense matrices a layer. The backward pass keeps one tensor, the bent samples, and applies the adjoint filters.
"""

import math
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from glad_ray.errors import UserError
from glad_ray.generators.stylegan_xl.linear import LEAKY_GAIN, SLOPE
from glad_ray.stylegan.settings import LayerSettings


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
    samples = torch.eye(size, dtype=taps.dtype, device=taps.device)[:, None]
    return F.conv_transpose1d(samples, taps[None, None], stride=factor, padding=crop)[:, 0].T.contiguous()


def shrink_matrix(taps: Float[Tensor, " taps"], size: int, factor: int, padding: int) -> Float[Tensor, "shrunk size"]:
    """What `shrink` does along one axis, as a matrix."""
    samples = torch.eye(size, dtype=taps.dtype, device=taps.device)[:, None]
    return F.conv1d(samples, taps[None, None], stride=factor, padding=padding)[:, 0].T.contiguous()


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

    def up(self, x: Tensor) -> Tensor:
        """To the filter rate."""
        if depthwise_is_fast(x):
            return stretch(x, self.up_taps, self.settings.up_factor, self.crop)
        return self.up_matrix @ F.linear(x, self.up_matrix)

    def up_adjoint(self, gradient: Tensor) -> Tensor:
        """The adjoint of `up`."""
        if depthwise_is_fast(gradient):
            return shrink(gradient, self.up_taps, self.settings.up_factor, self.crop)
        return F.linear(self.up_matrix.T @ gradient, self.up_matrix.T)

    def down(self, x: Tensor) -> Tensor:
        """To the output rate."""
        if self.down_matrix is None:
            kernel = _shared(self.down_taps, self.channels)
            return F.conv2d(x, kernel, stride=self.settings.down_factor, groups=self.channels)
        if depthwise_is_fast(x):
            return shrink(x, self.down_taps, self.settings.down_factor, 0)
        return F.linear(self.down_matrix @ x, self.down_matrix)

    def down_adjoint(self, gradient: Tensor) -> Tensor:
        """The adjoint of `down`."""
        if self.down_matrix is None:
            kernel = _shared(self.down_taps, self.channels)
            return F.conv_transpose2d(gradient, kernel, stride=self.settings.down_factor, groups=self.channels)
        if depthwise_is_fast(gradient):
            return stretch(gradient, self.down_taps, self.settings.down_factor, 0)
        return self.down_matrix.T @ F.linear(gradient, self.down_matrix.T)


class _FilteredLeakyReLU(torch.autograd.Function):
    """Saves the bent samples alone: their sign and size tell which slope each took."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: FilteredLeakyReLU) -> Tensor:
        bent = F.leaky_relu_(layer.up(x), SLOPE).clamp_(-layer.limit, layer.limit)
        ctx.layer = layer
        ctx.save_for_backward(bent)
        return layer.down(bent)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        layer: FilteredLeakyReLU = ctx.layer
        (bent,) = ctx.saved_tensors
        # In place: at the filter rate, fresh memory costs more than the arithmetic.
        gradient = layer.down_adjoint(gradient)
        if layer.limit < math.inf:
            limits = (-layer.limit, layer.limit)
            torch.ops.aten.hardtanh_backward.grad_input(gradient, bent, *limits, grad_input=gradient)
        torch.ops.aten.leaky_relu_backward.grad_input(gradient, bent, SLOPE, True, grad_input=gradient)
        return layer.up_adjoint(gradient), None


def depthwise_is_fast(x: Float[Tensor, "..."]) -> bool:
    """Whether oneDNN does the filtering, which wants channels last."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def _shared(kernel: Tensor, channels: int) -> Tensor:
    return kernel.expand(channels, 1, *kernel.shape)
