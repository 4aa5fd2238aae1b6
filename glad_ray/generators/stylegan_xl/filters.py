"""Low-pass filters of the alias-free generator (Karras et al., 2021, section 3.2), without scipy.

A separable filter is a Kaiser-windowed sinc, the radial one a windowed jinc. Both are designed in float64.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.stylegan.settings import LayerSettings


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """Shape of the Kaiser window for a transition of `width` (same unit as `rate`); Kaiser and Schafer (1980)."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def separable_filter(taps: int, cutoff: float, width: float, rate: float) -> Float[Tensor, " taps"]:
    """A windowed sinc with sum 1, to be applied along each axis; `width` is that of the transition."""
    offsets = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    values = torch.sinc(2 * cutoff / rate * offsets) * _window(taps, width, rate)
    return values / values.sum()


def radial_filter(taps: int, cutoff: float, width: float, rate: float) -> Float[Tensor, "taps taps"]:
    """A windowed jinc with sum 1: one full two-dimensional filter, the same in every direction; `taps` is even."""
    offsets = (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / rate
    radius = torch.hypot(offsets[:, None], offsets[None, :])
    window = _window(taps, width, rate)
    values = _bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)
    values = values * torch.outer(window, window)
    return values / values.sum()


def layer_filters(settings: LayerSettings) -> dict[str, Tensor]:
    """The filters a layer is designed with, under the names a checkpoint gives them; none for the RGB layer."""
    if settings.to_rgb:
        return {}
    rate = settings.filter_rate
    down = radial_filter if settings.radial else separable_filter
    return {
        "up_filter": separable_filter(settings.up_taps, settings.in_cutoff, 2 * settings.in_half_width, rate).float(),
        "down_filter": down(settings.down_taps, settings.out_cutoff, 2 * settings.out_half_width, rate).float(),
    }


def _window(taps: int, width: float, rate: float) -> Tensor:
    beta = kaiser_beta(taps, width, rate)
    return torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64)


def _bessel_j1(x: Tensor) -> Tensor:
    """J_1 as the mean of cos(t - x sin t) over a period: exact to rounding for |x| < 30, where torch's errs by 1e-7."""
    t = torch.arange(64, dtype=torch.float64) * (2 * math.pi / 64)
    return torch.cos(t - x[..., None] * t.sin()).mean(dim=-1)
