"""The synthesis network: Fourier features, then a plain chain of style layers that can be entered at any one.

Karras et al., "Alias-Free Generative Adversarial Networks" (2021), Figure 4; the spaces F_n are GLaD's.

Maps lie in memory with channels last. In half precision, layers whose settings say so hold their maps, kernel, bias and
filters in it; styles, demodulation, the Fourier features, F_n and the image stay as precise as the state.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.generators.stylegan_xl.activation import FilteredLeakyReLU
from glad_ray.generators.stylegan_xl.fourier import FourierFeatures
from glad_ray.generators.stylegan_xl.linear import EqualizedLinear
from glad_ray.generators.stylegan_xl.modulation import demodulated_kernel, modulated_convolution
from glad_ray.stylegan.settings import LayerSettings, SynthesisSettings


@final
class StyleLayer(nn.Module):
    """One layer; `state` holds the official names under `prefix`.

    Gradients flow to those of its weights and biases that require them.
    """

    kernel: Tensor
    power: Tensor
    bias: Tensor
    input_gain: Tensor

    def __init__(
        self, settings: LayerSettings, state: Mapping[str, Tensor], prefix: str, precision: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.affine = EqualizedLinear(state, f"{prefix}.affine")
        kernel, power = demodulated_kernel(state[f"{prefix}.weight"])
        dtype = _layer_precision(settings, precision, kernel)
        self.register_buffer("kernel", kernel.to(dtype, memory_format=torch.channels_last))
        self.register_buffer("power", power)
        self.register_buffer("bias", state[f"{prefix}.bias"].to(dtype))
        self.register_buffer("input_gain", torch.rsqrt(state[f"{prefix}.magnitude_ema"]))
        filters = state[f"{prefix}.up_filter"], state[f"{prefix}.down_filter"]
        self.activate = FilteredLeakyReLU(settings, *filters).to(dtype)

    def forward(self, x: Float[Tensor, "n c_in h w"], w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c_out h2 w2"]:
        """The next feature map, from this one and the layer's code."""
        return self.activate(self.convolve(x, w))

    def convolve(self, x: Float[Tensor, "n c_in h w"], w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c_out h2 w2"]:
        """The biased convolution alone."""
        weights = self.kernel, self.power, self.bias, self.input_gain
        return modulated_convolution(x.to(self.bias.dtype), self.affine(w), *weights, self.settings.conv_crop)


@final
class RGBLayer(nn.Module):
    """The last layer: a pointwise modulated mix of channels, neither demodulated nor filtered."""

    kernel: Tensor
    bias: Tensor
    input_gain: Tensor

    def __init__(
        self, settings: LayerSettings, state: Mapping[str, Tensor], prefix: str, precision: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.affine = EqualizedLinear(state, f"{prefix}.affine")
        self.register_buffer("kernel", state[f"{prefix}.weight"].flatten(1) / settings.in_channels**0.5)
        dtype = _layer_precision(settings, precision, self.kernel)
        self.register_buffer("bias", state[f"{prefix}.bias"].to(dtype))
        self.register_buffer("input_gain", torch.rsqrt(state[f"{prefix}.magnitude_ema"]))

    def forward(self, x: Float[Tensor, "n c_in h w"], w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c_out h w"]:
        """The image before its output scale."""
        return self.activate(self.convolve(x, w))

    def convolve(self, x: Float[Tensor, "n c_in h w"], w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c_out h w"]:
        """The biased mix alone."""
        # With three outputs, a kernel per image is smaller than a scaled input. The order of the operands makes the
        # input's gradient channels last.
        kernels = (self.kernel * (self.affine(w) * self.input_gain)[:, None, :]).to(self.bias.dtype)
        return torch.einsum("nihw,noi->nohw", x.to(self.bias.dtype), kernels) + self.bias[:, None, None]

    def activate(self, y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The clamp."""
        return y if self.settings.clamp is None else y.clamp(-self.settings.clamp, self.settings.clamp)


@final
class SynthesisNetwork(nn.Module):
    """From style codes, or a feature map and the codes of the layers after it, to images in nominally [-1, 1].

    Codes are numbered as released networks number them: 0 is the input's, n + 1 that of layer n. `precision` is
    `torch.float16` or `torch.bfloat16` for half precision, None for the state's own throughout.
    """

    def __init__(
        self, settings: SynthesisSettings, state: Mapping[str, Tensor], precision: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.input = FourierFeatures(settings.input, state, "synthesis.input")
        self.layers = nn.ModuleList(build_layer(layer, state, precision) for layer in settings.layers)

    def forward(self, ws: Float[Tensor, "n codes w_dim"]) -> Float[Tensor, "n c h w"]:
        """Images from all codes."""
        return self.from_f(ws[:, 1:], self.to_f(ws, 0), 0)

    def to_f(self, ws: Float[Tensor, "n codes w_dim"], n: int) -> Float[Tensor, "n c h w"]:
        """F_n: the input of layer n, from codes 0 to n (later ones may be absent)."""
        x = self.input(ws[:, 0]).contiguous(memory_format=torch.channels_last)
        for layer, w in zip(self.layers[:n], ws[:, 1 : n + 1].unbind(1), strict=True):
            x = layer(x, w)
        return x.to(ws.dtype)

    def from_f(
        self, codes: Float[Tensor, "n codes_from_n w_dim"], f: Float[Tensor, "n c_in h w"], n: int
    ) -> Float[Tensor, "n c h2 w2"]:
        """Images from the input `f` of layer `n` and the codes of that layer and all after it, no others."""
        x = self.through(codes, f, n, len(self.layers))
        return (x.to(codes.dtype) * self.settings.output_scale).contiguous()

    def through(
        self, codes: Float[Tensor, "n codes_from_n_to_m w_dim"], f: Float[Tensor, "n c_in h w"], n: int, m: int
    ) -> Float[Tensor, "n c_out h2 w2"]:
        """The input of layer `m` from that of layer `n` and the codes of the layers in between, no others."""
        x = f.contiguous(memory_format=torch.channels_last)
        for layer, w in zip(self.layers[n:m], codes.unbind(1), strict=True):
            x = layer(x, w)
        return x


def build_layer(
    settings: LayerSettings, state: Mapping[str, Tensor], precision: torch.dtype | None = None
) -> StyleLayer | RGBLayer:
    """The layer of that name, from a whole network's state; `precision` as for the network."""
    layer = RGBLayer if settings.to_rgb else StyleLayer
    return layer(settings, state, f"synthesis.{settings.name}", precision)


def _layer_precision(settings: LayerSettings, precision: torch.dtype | None, weight: Tensor) -> torch.dtype:
    return precision if precision is not None and settings.half else weight.dtype
