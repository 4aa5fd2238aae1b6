"""What every generator can do, here or behind a handle: make latents, decode them, and pull gradients back to them.

The calls are pure functions of their arguments. They decode without a graph and decode again with one for the
gradients (section 3.4 of GLaD), so that nothing has to be kept between two calls and any call can be repeated.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.spec.run import Init

Latents = dict[str, Tensor]
"""By kind: `pixels`, or `w` (style codes), or `f` and `w` (a feature map and the codes of the layers from there on)."""


@runtime_checkable
class Generator(Protocol):
    """An image prior. Results lie on the device, and have the precision, of the latents that were given."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces it has."""

    def init(self, space: str, labels: Int64[Tensor, " n"], rng: torch.Generator, how: Init) -> Latents:
        """Latents of one image per label, drawn from `rng`, on the generator's device.

        How: `sampled` (a code per image), `average` (the mean of 1000 codes per image) or `gaussian` (f<n> only: F
        drawn with the mean and deviation of the sampled one). Raises `UserError` for any other, for a space it does
        not have and for a label it has no class for.
        """

    def decode(self, space: str, latents: Latents) -> Float[Tensor, "n c h w"]:
        """The images, nominally in [-1, 1] and not clipped; no graph."""

    def pullback(self, space: str, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        """The gradient of sum(images * image_grads) with respect to each latent."""
