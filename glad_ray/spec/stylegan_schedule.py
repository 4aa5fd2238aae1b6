"""The layers of a StyleGAN-XL synthesis network, worked out from a few numbers: sizes, rates, cutoffs, channels, names.

Karras et al., "Alias-Free Generative Adversarial Networks" (2021), section 3.2 and appendix F; Sauer et al.,
"StyleGAN-XL" (2022), section 3 for the stages that raise the resolution. Pure arithmetic, so that a plan can size a
generator without torch. Cutoffs and half-widths are in cycles per image width, rates in samples per image width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from glad_ray.errors import UserError

FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2.0**2.1
LAST_STOPBAND_PER_CUTOFF = 2.0**0.3
CRITICAL_LAYERS = 2
MARGIN = 10
TAPS_PER_FACTOR = 6
CLAMP = 256.0
OUTPUT_SCALE = 0.25


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """The Fourier features that the first layer is fed with."""

    channels: int
    size: int
    rate: float
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class LayerSettings:
    """Everything that fixes one synthesis layer but its weights; a checkpoint's own attributes fill it as well."""

    name: str
    in_channels: int
    out_channels: int
    in_size: int
    out_size: int
    in_rate: float
    out_rate: float
    filter_rate: float
    """rate at which the nonlinearity acts and both filters are designed"""
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    kernel_size: int
    to_rgb: bool
    """the last layer: no demodulation, no filters, no slope"""
    radial: bool
    """the down filter is radially symmetric (one full two-dimensional filter)"""
    up_factor: int
    up_taps: int
    down_factor: int
    down_taps: int
    padding: tuple[int, int]
    """samples added before and after, along each axis, at the filter rate; negative numbers crop"""
    clamp: float | None = CLAMP
    """largest absolute activation; None: no limit"""

    @property
    def conv_crop(self) -> int:
        """Outputs of the convolution that padding would crop at each border, so that none of them is computed."""
        return max(0, -(self.padding[0] // self.up_factor))

    @property
    def conv_size(self) -> int:
        """Side of the convolution's output: full padding, less `conv_crop` at each border."""
        return self.in_size + self.kernel_size - 1 - 2 * self.conv_crop

    @property
    def filter_size(self) -> int:
        """Side of the activation at the filter rate."""
        if self.to_rgb:
            return self.out_size
        return (self.out_size - 1) * self.down_factor + self.down_taps

    @property
    def conv_multiply_adds(self) -> int:
        """Multiply-adds of the convolution, per image."""
        return self.out_channels * self.in_channels * self.kernel_size**2 * self.conv_size**2

    @property
    def filter_multiply_adds(self) -> int:
        """Multiply-adds of both filters, per image, zeros between samples not counted."""
        if self.to_rgb:
            return 0
        taps = self.up_taps // self.up_factor
        up = taps * self.filter_size * (self.conv_size + self.filter_size)
        if self.radial:
            down = (self.down_taps * self.out_size) ** 2
        else:
            down = self.down_taps * self.out_size * (self.filter_size + self.out_size)
        return self.out_channels * (up + down)


@dataclass(frozen=True, kw_only=True)
class SynthesisSettings:
    """A synthesis network without its weights: the Fourier features and a plain chain of layers."""

    w_dim: int
    input: InputSettings
    layers: tuple[LayerSettings, ...]
    output_scale: float = OUTPUT_SCALE
    """factor between the last layer's output and the image"""

    @property
    def codes(self) -> int:
        """Style codes of a whole image: one for the input, one per layer."""
        return len(self.layers) + 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        last = self.layers[-1]
        return (last.out_channels, last.out_size, last.out_size)

    @property
    def spaces(self) -> tuple[str, ...]:
        """`w+`, and one `f<n>` per layer: its input, and the codes from that layer on."""
        return ("w+", *(f"f{n}" for n in range(len(self.layers))))

    def layer_of(self, space: str) -> int | None:
        """The n of `f<n>`, None for `w+`; raises `UserError` that lists what there is."""
        if space not in self.spaces:
            raise UserError(f"The generator has no latent space {space!r}: it has {', '.join(self.spaces)}.")
        return None if space == "w+" else int(space[1:])

    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        """Shape of each kind of latent, per image; raises `UserError` for a space it does not have."""
        n = self.layer_of(space)
        if n is None:
            return {"w": (self.codes, self.w_dim)}
        layer = self.layers[n]
        return {
            "f": (layer.in_channels, layer.in_size, layer.in_size),
            "w": (len(self.layers) - n, self.w_dim),
        }

    def multiply_adds(self, space: str) -> int:
        """Multiply-adds of one image decoded from `space`, convolutions and filters; raises like `latent_shapes`."""
        n = self.layer_of(space)
        features = self.input.channels**2 * self.input.size**2 if n is None else 0
        return features + sum(
            layer.conv_multiply_adds + layer.filter_multiply_adds for layer in self.layers[0 if n is None else n :]
        )

    @property
    def parameter_count(self) -> int:
        """Learned numbers of the synthesis network: kernels, biases and the maps from codes to styles."""
        features = self.input.channels**2 + 4 * (self.w_dim + 1)
        return features + sum(
            layer.out_channels * (layer.in_channels * layer.kernel_size**2 + 1) + layer.in_channels * (self.w_dim + 1)
            for layer in self.layers
        )


@dataclass(frozen=True, kw_only=True)
class _Band:
    """What the signal between two layers is like."""

    cutoff: float
    half_width: float
    rate: int
    size: int
    channels: int


def stem(
    *,
    resolution: int,
    num_layers: int,
    channel_base: int,
    channel_max: int,
    kernel_size: int,
    image_channels: int,
    w_dim: int,
) -> SynthesisSettings:
    """A network trained from scratch: `num_layers` layers and the RGB layer; kernel size 1 brings radial filters."""
    bands = _bands(
        layers=num_layers,
        resolution=resolution,
        first_cutoff=FIRST_CUTOFF,
        first_stopband=FIRST_STOPBAND,
        channel_base=channel_base,
        channel_max=channel_max,
        image_channels=image_channels,
    )
    first = bands[0]
    return SynthesisSettings(
        w_dim=w_dim,
        input=InputSettings(channels=first.channels, size=first.size, rate=first.rate, bandwidth=first.cutoff),
        layers=_layers(bands, first_number=0, kernel_size=kernel_size, radial=kernel_size == 1),
    )


def super_resolution(
    base: SynthesisSettings,
    *,
    resolution: int,
    head_layers: int,
    channel_base: int,
    channel_max: int,
    kernel_size: int = 3,
    radial: bool = False,
) -> SynthesisSettings:
    """A network grown to `resolution`: its critically sampled layers give way to `head_layers` layers and a new RGB."""
    kept = base.layers[: -CRITICAL_LAYERS - 1]
    last = kept[-1]
    bands = _bands(
        layers=head_layers,
        resolution=resolution,
        first_cutoff=last.out_cutoff,
        first_stopband=last.out_cutoff + last.out_half_width,
        channel_base=channel_base,
        channel_max=channel_max,
        image_channels=base.image_shape[0],
        first_rate=int(last.out_rate),
        first_channels=last.out_channels,
    )
    # The published networks count from one past the kept layers, so that one number is skipped.
    head = _layers(bands, first_number=len(kept) + 1, kernel_size=kernel_size, radial=radial)
    return replace(base, layers=(*kept, *head))


def _bands(
    *,
    layers: int,
    resolution: int,
    first_cutoff: float,
    first_stopband: float,
    channel_base: int,
    channel_max: int,
    image_channels: int,
    first_rate: int | None = None,
    first_channels: int | None = None,
) -> list[_Band]:
    # Cutoff and stopband grow geometrically and stay at their last value in the critically sampled layers.
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * LAST_STOPBAND_PER_CUTOFF
    bands = []
    for i in range(layers + 1):
        exponent = min(i / (layers - CRITICAL_LAYERS), 1)
        cutoff = first_cutoff * (last_cutoff / first_cutoff) ** exponent
        stopband = first_stopband * (last_stopband / first_stopband) ** exponent
        rate = 2 ** math.ceil(math.log2(min(stopband * 2, resolution)))
        channels = round(min(channel_base / 2 / cutoff, channel_max))
        if i == 0:
            rate = first_rate or rate
            channels = first_channels or channels
        bands.append(
            _Band(
                cutoff=cutoff,
                half_width=max(stopband, rate / 2) - cutoff,
                rate=rate,
                size=resolution if i >= layers - 1 else rate + 2 * MARGIN,
                channels=image_channels if i == layers else channels,
            )
        )
    return bands


def _layers(bands: Sequence[_Band], *, first_number: int, kernel_size: int, radial: bool) -> tuple[LayerSettings, ...]:
    last = len(bands) - 1
    return tuple(
        _layer(
            f"L{first_number + i}_{band.size}_{band.channels}",
            bands[max(i - 1, 0)],
            band,
            kernel_size=1 if i == last else kernel_size,
            to_rgb=i == last,
            # Critically sampled layers have no room for a radial filter's slower fall.
            radial=radial and i < last - CRITICAL_LAYERS,
        )
        for i, band in enumerate(bands)
    )


def _layer(name: str, before: _Band, after: _Band, *, kernel_size: int, to_rgb: bool, radial: bool) -> LayerSettings:
    filter_rate = max(before.rate, after.rate) * (1 if to_rgb else 2)
    up_factor = filter_rate // before.rate
    down_factor = filter_rate // after.rate
    up_taps = 1 if to_rgb else up_factor * TAPS_PER_FACTOR
    down_taps = 1 if to_rgb else down_factor * TAPS_PER_FACTOR
    total = (after.size - 1) * down_factor + 1 - (before.size + kernel_size - 1) * up_factor + up_taps + down_taps - 2
    low = (total + up_factor) // 2
    return LayerSettings(
        name=name,
        in_channels=before.channels,
        out_channels=after.channels,
        in_size=before.size,
        out_size=after.size,
        in_rate=before.rate,
        out_rate=after.rate,
        filter_rate=filter_rate,
        in_cutoff=before.cutoff,
        out_cutoff=after.cutoff,
        in_half_width=before.half_width,
        out_half_width=after.half_width,
        kernel_size=kernel_size,
        to_rgb=to_rgb,
        radial=radial,
        up_factor=up_factor,
        up_taps=up_taps,
        down_factor=down_factor,
        down_taps=down_taps,
        padding=(low, total - low),
    )
