"""What every generator can do, here or behind a handle: make latents, decode them, and pull gradients back to them.

The calls are pure functions of their arguments, so that any of them can be repeated, by another process if need be.
`DifferentiableGenerator` is what one has to write for a prior of one's own; `InProcessGenerator` makes the calls of it.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.spec.generators import Init

Latents = dict[str, Tensor]
"""By kind: `pixels`, or `w` (style codes), or `f` and `w` (a feature map and the codes of the layers from there on).
Each has an entry per image. Where a generator's weights are learned, `g` has them all as one vector."""

WEIGHTS = "g"
"""the kind of latent that all images share"""


_LARGEST_FEATURE = 10.0
_INFINITE_FEATURE = 5.0


def cleaned(f: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """A feature map as GLaD's code and H-PD's take it from a StyleGAN: NaN 0, infinity 5, within [-10, 10]."""
    return f.nan_to_num(0.0, _INFINITE_FEATURE, -_INFINITE_FEATURE).clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)


def latent_images(latents: Latents) -> int:
    """How many images latents are of."""
    return next(len(value) for kind, value in latents.items() if kind != WEIGHTS)


def gaussian_like(f: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Normal draws with the mean and deviation of each image's feature map (the paper's Figures 6 and 7)."""
    deviation, mean = torch.std_mean(f, dim=(1, 2, 3), keepdim=True)
    return torch.randn(f.shape, generator=rng).to(f) * deviation + mean


@runtime_checkable
class LatentSource(Protocol):
    """What makes latents to start from."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces it has."""

    def init(
        self,
        space: str,
        labels: Int64[Tensor, " n"],
        rng: torch.Generator,
        how: Init,
        real_images: Float[Tensor, "n c h w"] | None = None,
    ) -> Latents:
        """Latents of one image per label, drawn from `rng`, on the generator's device.

        How, as far as a generator can: `sampled` (a code per image), `average` (the mean of 1000 codes per image),
        `real` (those of `real_images`, one per label, in [-1, 1]) or `gaussian` (F drawn with the mean and deviation
        of the one that the generator would else start from). Raises `UserError` for any other, for a space it does
        not have and for a label it has no class for.
        """


@runtime_checkable
class Generator(LatentSource, Protocol):
    """An image prior. Results lie on the device, and have the precision, of the latents that were given."""

    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """The images, nominally in [-1, 1] and not clipped; no graph."""

    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """The gradient of sum(images * image_grads) with respect to each latent."""

    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        """Latents of a later space that decode to the same images, but for what is cleaned of a feature map on the way;
        no graph, and copies. Raises `UserError` where the prior has no way from one space to the other.
        """


@runtime_checkable
class DifferentiableGenerator(LatentSource, Protocol):
    """An image prior that PyTorch can differentiate, on one device; frozen unless its weights are among the latents.

    `init` is called without a graph.
    """

    def latent_shapes(self, space: str) -> Mapping[str, tuple[int, ...]]:
        """Shape per image of each kind of latent, of `f` (a feature map) and `w` (codes)."""

    def images(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """The images, nominally in [-1, 1], as a differentiable function of the latents alone, image by image."""


@runtime_checkable
class LayeredGenerator(DifferentiableGenerator, Protocol):
    """A differentiable generator whose latents can be handed over to a later space."""

    def hand_over(self, space: str, later: str, latents: Latents) -> Latents:
        """Latents of `later` from those of `space`: the layers between the two, image by image. Called without a
        graph.
        """


@runtime_checkable
class ForetoldMemory(Protocol):
    """A differentiable generator that knows what a pullback takes; of others it is measured, once a space."""

    def pullback_bytes(self, space: str) -> int:
        """Bytes that a pullback of one image from `space` takes at its most, beyond weights."""
