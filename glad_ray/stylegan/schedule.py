"""The layers of a StyleGAN-XL synthesis network, worked out from a few numbers: sizes, rates, cutoffs, channels, names.

Karras et al., "Alias-Free Generative Adversarial Networks" (2021), section 3.2; Sauer et al.,
"StyleGAN-XL" (2022), for the stages that raise the resolution. Pure arithmetic, so that a plan can size a
generator without torch. Cutoffs and half-widths are in cycles per image width, rates in samples per image width.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from glad_ray.errors import UserError
from glad_ray.stylegan.settings import InputSettings, LayerSettings, SynthesisSettings

FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2.0**2.1
LAST_STOPBAND_PER_CUTOFF = 2.0**0.3
CRITICAL_LAYERS = 2
MARGIN = 10
COMPACT_START = 8
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


def compact_start(resolution: int) -> int | None:
    """Side of the first maps of a `compact` network: the resolution halved until it is 8 or less, or odd. None if that
    is more than 16, so that such a network cannot have the resolution.
    """
    side = resolution
    while side > COMPACT_START and side % 2 == 0:
        side //= 2
    return side if side <= 2 * COMPACT_START else None


def compact(
    *, resolution: int, channel_base: int, channel_max: int, image_channels: int, w_dim: int
) -> SynthesisSettings:
    """A small network for small images and machines: no margin around maps, and activations that are not filtered.

    The layers are those of StyleGAN2 (Karras et al., 2020) in the terms of StyleGAN3: two for each size, of which the
    second doubles it, from `compact_start` to `resolution`; then the RGB layer. A layer with maps of side s has
    min(channel_base / s, channel_max) channels. Raises `UserError` for a resolution that it cannot have.
    """
    side = compact_start(resolution)
    if side is None:
        raise UserError(
            f"A compact generator cannot have {resolution} pixels: use 16 or less, or such a number times 2, 4, 8 or "
            f"16, for example {max(16, 16 * round(resolution / 16))}."
        )
    sides = [side]
    while side < resolution:
        sides += [side, 2 * side]
        side *= 2
    sides.append(side)
    bands = [_critical_band(each, max(1, min(channel_base // each, channel_max))) for each in sides]
    bands.append(_critical_band(resolution, image_channels))
    first = bands[0]
    last = len(bands) - 2
    return SynthesisSettings(
        w_dim=w_dim,
        input=InputSettings(channels=first.channels, size=first.size, rate=float(first.rate), bandwidth=first.rate / 4),
        layers=tuple(
            _layer(
                f"L{i}_{after.size}_{after.channels}",
                before,
                after,
                kernel_size=1 if i == last else 3,
                to_rgb=i == last,
                radial=False,
                half=True,
                oversampling=1,
            )
            for i, (before, after) in enumerate(itertools.pairwise(bands))
        ),
    )


def _critical_band(side: int, channels: int) -> _Band:
    """A signal whose band ends where its rate allows, on maps without a margin."""
    cutoff = side / 2
    half_width = cutoff * (LAST_STOPBAND_PER_CUTOFF - 1)
    return _Band(cutoff=cutoff, half_width=half_width, rate=side, size=side, channels=channels)


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
    name: str,
    before: _Band,
    after: _Band,
    *,
    kernel_size: int,
    to_rgb: bool,
    radial: bool,
    half: bool,
    oversampling: int = 2,
) -> LayerSettings:
    """`oversampling`: the rate at which the nonlinearity acts, over the higher one of the two signals'."""
    filter_rate = max(before.rate, after.rate) * (1 if to_rgb else oversampling)
    up_factor = filter_rate // before.rate
    down_factor = filter_rate // after.rate
    # Nothing is to be filtered at a factor of 1.
    up_taps = up_factor * TAPS_PER_FACTOR if up_factor > 1 else 1
    down_taps = down_factor * TAPS_PER_FACTOR if down_factor > 1 else 1
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
