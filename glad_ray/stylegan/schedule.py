"""The layers of a StyleGAN-XL synthesis network, worked out from a few numbers: sizes, rates, cutoffs, channels, names.

Karras et al., "Alias-Free Generative Adversarial Networks" (2021), section 3.2; Sauer et al.,
"StyleGAN-XL" (2022), for the stages that raise the resolution. Pure arithmetic, so that a plan can size a
generator without torch. Cutoffs and half-widths are in cycles per image width, rates in samples per image width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from glad_ray.stylegan.settings import InputSettings, LayerSettings, SynthesisSettings

FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2.0**2.1
LAST_STOPBAND_PER_CUTOFF = 2.0**0.3
CRITICAL_LAYERS = 2
MARGIN = 10
TAPS_PER_FACTOR = 6
HALF_PRECISION_RANGE = 16
"""layers of a rate above resolution / 16 run in half precision, where that is asked for"""


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
        input=InputSettings(channels=first.channels, size=first.size, rate=float(first.rate), bandwidth=first.cutoff),
        layers=_layers(bands, resolution=resolution, first_number=0, kernel_size=kernel_size, radial=kernel_size == 1),
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
    head = _layers(bands, resolution=resolution, first_number=len(kept) + 1, kernel_size=kernel_size, radial=radial)
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


def _layers(
    bands: Sequence[_Band], *, resolution: int, first_number: int, kernel_size: int, radial: bool
) -> tuple[LayerSettings, ...]:
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
            half=band.rate * HALF_PRECISION_RANGE > resolution,
        )
        for i, band in enumerate(bands)
    )


def _layer(
    name: str, before: _Band, after: _Band, *, kernel_size: int, to_rgb: bool, radial: bool, half: bool
) -> LayerSettings:
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
        in_rate=float(before.rate),
        out_rate=float(after.rate),
        filter_rate=float(filter_rate),
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
        half=half,
    )
