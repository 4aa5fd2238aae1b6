"""The first tensor of a synthesis network: Fourier features on a grid, rotated and shifted by the first style code.

Karras et al., "Alias-Free Generative Adversarial Networks" (2021), section 3.1.
"""

import math
from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.generators.stylegan_xl.linear import EqualizedLinear
from glad_ray.stylegan.settings import InputSettings


@final
class FourierFeatures(nn.Module):
    """Frozen waves, mixed over channels; `state` holds the official names under `prefix`."""

    mix: Tensor
    transform: Tensor
    frequencies: Tensor
    phases: Tensor
    grid: Tensor

    def __init__(self, settings: InputSettings, state: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__()
        self.settings = settings
        self.affine = EqualizedLinear(state, f"{prefix}.affine")
        self.register_buffer("mix", state[f"{prefix}.weight"] / math.sqrt(settings.channels))
        self.register_buffer("transform", state[f"{prefix}.transform"])
        self.register_buffer("frequencies", state[f"{prefix}.freqs"])
        self.register_buffer("phases", state[f"{prefix}.phases"])
        steps = (
            torch.arange(settings.size, dtype=self.phases.dtype, device=self.phases.device) + 0.5 - settings.size / 2
        )
        self.register_buffer("grid", steps / settings.rate)

    def forward(self, w: Float[Tensor, "n w_dim"]) -> Float[Tensor, "n c h w"]:
        """The features, about unit power, for each code."""
        placed = self._placement(w)
        phases = self.phases + placed[:, :2, 2] @ self.frequencies.T
        frequencies = self.frequencies @ placed[:, :2, :2]
        # A wave that rotation and scale have moved beyond the band fades out.
        excess = frequencies.norm(dim=2) - self.settings.bandwidth
        amplitudes = (1 - excess / (self.settings.rate / 2 - self.settings.bandwidth)).clamp(0, 1)
        along_x = frequencies[:, :, 0, None] * self.grid
        along_y = frequencies[:, :, 1, None] * self.grid + phases[:, :, None]
        waves = torch.sin(2 * math.pi * (along_y[:, :, :, None] + along_x[:, :, None, :]))
        # Scaling the mix costs less than scaling the waves.
        mix = self.mix * amplitudes[:, None, :]
        return torch.bmm(mix, waves.flatten(2)).unflatten(2, waves.shape[2:])

    def _placement(self, w: Tensor) -> Tensor:
        """The map from picture to wave coordinates that each code asks for: a rotation after a shift."""
        cosine, sine, x, y = torch.unbind(self.affine(w), dim=1)
        length = torch.hypot(cosine, sine)
        cosine, sine, x, y = cosine / length, sine / length, x / length, y / length
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rotation = _matrices((cosine, -sine, zero), (sine, cosine, zero), (zero, zero, one))
        shift = _matrices((one, zero, -x), (zero, one, -y), (zero, zero, one))
        return rotation @ shift @ self.transform


def _matrices(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
