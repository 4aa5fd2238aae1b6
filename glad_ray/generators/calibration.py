"""Scales and offsets of a random generator, set from what a few of its own images look like inside.

Not in the paper. A network whose weights are merely drawn loses power and contrast from layer to layer, and its images
are a nearly even grey (deviation about 0.1 of a range from -1 to 1, most of it between images). Training would have
mended that; here one pass over seeded samples does, layer by layer: `magnitude_ema` becomes the power of the layer's
input, which is what training tracks (Karras et al., 2021, section 3.1), and each bias centres its channel, as in
data-dependent initialisation (Salimans and Kingma, 2016, section 3). The last layer is scaled so that a
typical image deviates from 0 by 0.5. Weights are otherwise untouched, and nothing is learned.
"""

import torch
from torch import Tensor

from glad_ray.generators.stylegan_xl.fourier import FourierFeatures
from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import RGBLayer, build_layer
from glad_ray.stylegan.settings import MappingSettings, SynthesisSettings

SAMPLES = 32
_SAMPLES_AT_A_TIME = 8
IMAGE_DEVIATION = 0.5


@torch.no_grad()
def calibrated(
    mapping: MappingSettings, synthesis: SynthesisSettings, state: dict[str, Tensor], rng: torch.Generator
) -> dict[str, Tensor]:
    """The state with each layer's `magnitude_ema` and `bias` set, and the last layer's weight scaled."""
    state = dict(state)
    z = torch.randn(SAMPLES, mapping.z_dim, generator=rng)
    labels = torch.arange(SAMPLES) % max(mapping.classes, 1)
    ws = MappingNetwork(mapping, state)(z, labels).split(_SAMPLES_AT_A_TIME)
    features = FourierFeatures(synthesis.input, state, "synthesis.input")
    xs = [features(w).contiguous(memory_format=torch.channels_last) for w in ws]
    for settings in synthesis.layers:
        prefix = f"synthesis.{settings.name}"
        state[f"{prefix}.magnitude_ema"] = torch.stack([x.square().mean() for x in xs]).mean()
        layer = build_layer(settings, state)
        ys = [layer.convolve(x, w) for x, w in zip(xs, ws, strict=True)]
        bias = -torch.stack([y.mean(dim=(0, 2, 3)) for y in ys]).mean(dim=0)
        ys = [y + bias[:, None, None] for y in ys]
        if isinstance(layer, RGBLayer):
            # The median: a few images come out far stronger than the rest, the fewer channels the more so.
            power = torch.cat([y.square().mean(dim=(1, 2, 3)) for y in ys]).median()
            gain = IMAGE_DEVIATION / synthesis.output_scale * torch.rsqrt(power)
            state[f"{prefix}.weight"] = state[f"{prefix}.weight"] * gain
            bias = bias * gain
        state[f"{prefix}.bias"] = bias
        xs = [layer.activate(y) for y in ys]
    return state
