"""Frozen maps of a classifier of real images at several depths: what losses compare images by.

As perceptual distance: Johnson et al. (2016), section 3.2, with maps of a network that was trained here. As what a
discriminator sees: Sauer et al., "Projected GANs Converge Faster" (2021), section 3, without their random mixing.
"""

from typing import cast, final

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.networks import Classifier
from glad_ray.networks.convnet import ConvNet


@final
class Features:
    """The maps after every block of a trained ConvNet, of normalised images."""

    def __init__(self, network: Classifier) -> None:
        self.network = network
        """names classes"""
        self._blocks = cast("ConvNet", network).blocks

    def __call__(self, images: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """From the finest to the coarsest."""
        maps = []
        for block in self._blocks:
            images = block(images)
            maps.append(images)
        return maps

    def distance(self, one: Float[Tensor, "n c h w"], other: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """Mean absolute difference of the maps, averaged over depths; differentiable in the first."""
        with torch.no_grad():
            targets = self(other)
        return torch.stack([(a - b).abs().mean() for a, b in zip(self(one), targets, strict=True)]).mean()
