"""Training images that are cut out of stored ones: the multi-formation of IDC (Kim et al., "Dataset Condensation via
Efficient Synthetic-Data Parameterization", ICML 2022, section 3), as a wrapper of any space.

The order of training images is that of classes; within a class that of IDC's code: for each piece of a stored image
(row by row) the images in turn. Labels are repeated. A side that the factor does not divide is padded at the right and
at the bottom first, by as much as the code does it, with grey (0.5 in [0, 1]).
"""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from typing_extensions import override

from glad_ray.generators.base import Latents, latent_images
from glad_ray.generators.space import LayeredSpace, Space
from glad_ray.spec.images.formation import Formation

GREY = 0.5


def training_images(
    stored: Float[Tensor, "n c h w"],
    formation: Formation,
    *,
    classes: int = 1,
    grey: Sequence[float] | Float[Tensor, " c"] = (GREY,),
) -> Float[Tensor, "m c h w"]:
    """The training images that stored ones hold, differentiable in these.

    `stored` has equally many images of each of the `classes`, class by class. `grey` is what is padded with, per
    channel or one for all, in the units of the images.
    """
    of_class = stored.unflatten(0, (classes, -1))
    formed = [
        _pieces(of_class[:, part.first : part.last], part.factor, grey) for part in formation.parts(of_class.shape[1])
    ]
    return torch.cat(formed, 1).flatten(0, 1)


def _pieces(
    images: Float[Tensor, "k n c h w"], factor: int, grey: Sequence[float] | Tensor
) -> Float[Tensor, "k m c h w"]:
    """Of the images of several classes: their pieces, each of the image's size; the first piece of all images first."""
    if factor == 1:
        return images
    classes, height, width = len(images), images.shape[-2], images.shape[-1]
    padded = _padded(images.flatten(0, 1), factor, grey)
    size_h, size_w = (padded.shape[-2] // factor, padded.shape[-1] // factor)
    pieces = [
        F.interpolate(
            padded[:, :, row * size_h : (row + 1) * size_h, column * size_w : (column + 1) * size_w],
            (height, width),
            mode="bilinear",
            align_corners=False,
        ).unflatten(0, (classes, -1))
        for row in range(factor)
        for column in range(factor)
    ]
    return torch.cat(pieces, 1)


def _padded(
    images: Float[Tensor, "n c h w"], factor: int, grey: Sequence[float] | Tensor
) -> Float[Tensor, "n c h2 w2"]:
    below, right = (-side % factor for side in images.shape[-2:])
    if not (below or right):
        return images
    outside = F.pad(images.new_zeros(1, 1, *images.shape[-2:]), (0, right, 0, below), value=1)
    fill = torch.as_tensor(grey, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
    return F.pad(images, (0, right, 0, below)) + fill * outside


def mixed(real: Float[Tensor, "m c h w"], factor: int) -> Float[Tensor, "n c h w"]:
    """Images that hold factor x factor real ones each: at place (row, column) image a has number
    (row factor + column) n + a of the m = n factor^2 real ones, shrunk to the place by its nearest pixels.

    Where the factor does not divide the side, the first rows and columns of places are a pixel larger, as in IDC's
    code; the pieces that are cut out again may then have pixels of their neighbours.
    """
    images = real.unflatten(0, (factor, factor, -1))
    rows, columns = (_shares(side, factor) for side in real.shape[-2:])
    return torch.cat(
        [
            torch.cat([_nearest(images[i, j], height, width) for j, width in enumerate(columns)], 3)
            for i, height in enumerate(rows)
        ],
        2,
    )


def _shares(side: int, factor: int) -> list[int]:
    whole, rest = divmod(side, factor)
    return [whole + (place < rest) for place in range(factor)]


def _nearest(images: Float[Tensor, "n c h w"], height: int, width: int) -> Float[Tensor, "n c h2 w2"]:
    rows, columns = (
        torch.arange(size, device=images.device) * side // size
        for size, side in zip((height, width), images.shape[-2:], strict=True)
    )
    return images[:, :, rows][:, :, :, columns]


@final
class FormationSpace(LayeredSpace):
    """A space whose images hold several training images each: those are what it decodes to."""

    def __init__(
        self, stored: Space, formation: Formation, images_per_class: int, grey: Sequence[float] = (GREY,)
    ) -> None:
        """`stored`: the space of the stored images, which come class by class, `images_per_class` of each; `grey`: the
        value 0.5, per channel, as networks see it.
        """
        self.stored, self.formation, self.grey = stored, formation, tuple(grey)
        self.images_per_class = images_per_class

    @override
    def init(self, labels: Int64[Tensor, " n"], rng: torch.Generator) -> Latents:
        """Latents to start from, one stored image per label."""
        return self.stored.init(labels, rng)

    @override
    def decode(self, latents: Latents) -> Float[Tensor, "n c h w"]:
        return self._formed(self.stored.decode(latents))

    @override
    def pullback(self, latents: Latents, image_grads: Float[Tensor, "n c h w"]) -> Latents:
        images = latent_images(latents)
        with torch.enable_grad():
            # Affine in the stored images: whatever these are, the gradient is the same.
            point = image_grads.new_zeros(images, *image_grads.shape[1:]).requires_grad_()
            (stored_grads,) = torch.autograd.grad(self._formed(point), point, image_grads)
        return self.stored.pullback(latents, stored_grads)

    @override
    def clip(self, latents: Latents) -> None:
        self.stored.clip(latents)

    @override
    def later(self) -> Space:
        assert isinstance(self.stored, LayeredSpace), "pixels are one layer"
        return FormationSpace(self.stored.later(), self.formation, self.images_per_class, self.grey)

    @override
    def hand_over(self, latents: Latents) -> Latents:
        assert isinstance(self.stored, LayeredSpace), "pixels are one layer"
        return self.stored.hand_over(latents)

    def _formed(self, stored: Float[Tensor, "n c h w"]) -> Float[Tensor, "m c h w"]:
        classes = len(stored) // self.images_per_class
        return training_images(stored, self.formation, classes=classes, grey=self.grey)


def stored_images(space: Space, latents: Latents) -> Float[Tensor, "n c h w"] | None:
    """The images that a space's training images are cut out of; None: they are the training images."""
    return space.stored.decode(latents) if isinstance(space, FormationSpace) else None
