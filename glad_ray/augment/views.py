"""Random views of images: the parts of a grid shuffled, a crop resized, a flip (RDED, Sun et al., CVPR 2024; the crops
are those of Szegedy et al., 2015, as torchvision draws them).

Every image of a mini-batch has a view of its own. Draws come from an explicit rng on the CPU. Not built on kornia or
torchvision, which draw from global state.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.spec.images.augmentation import Views

_TRIES = 10


class Crop(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class View(NamedTuple):
    """How one image is seen."""

    columns: Int64[Tensor, " f"]
    """for each strip of columns, from the left, the number of the one that takes its place"""
    rows: Int64[Tensor, " f"]
    """the same for strips of rows, from the top"""
    crop: Crop
    """of the image whose parts are shuffled"""
    flipped: bool


def draw_crop(height: int, width: int, smallest_area: float, stretch: float, rng: torch.Generator) -> Crop:
    """A crop whose share of the area is uniform in [`smallest_area`, 1] and whose width over height is log-uniform in
    [1 / `stretch`, `stretch`], at a uniform place.

    Where ten draws do not fit into the image, the largest central crop of the nearest such ratio.
    """
    area, reach = height * width, math.log(stretch)
    for _ in range(_TRIES):
        share, shape = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
        target = (smallest_area + (1 - smallest_area) * share) * area
        ratio = math.exp((2 * shape - 1) * reach)
        crop_h, crop_w = round(math.sqrt(target / ratio)), round(math.sqrt(target * ratio))
        if 0 < crop_h <= height and 0 < crop_w <= width:
            top = int(torch.randint(height - crop_h + 1, (), generator=rng))
            left = int(torch.randint(width - crop_w + 1, (), generator=rng))
            return Crop(top, left, crop_h, crop_w)
    crop_h, crop_w = min(height, round(width * stretch)), min(width, round(height * stretch))
    return Crop((height - crop_h) // 2, (width - crop_w) // 2, crop_h, crop_w)


def resized_crop(images: Float[Tensor, "n c h w"], crop: Crop, side: int) -> Float[Tensor, "n c side side"]:
    """A crop of each image at `side` x `side` pixels, bilinear and antialiased."""
    part = images[:, :, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    if part.shape[-2:] == (side, side):
        return part
    return F.interpolate(part, (side, side), mode="bilinear", align_corners=False, antialias=True)


def shuffled_parts(
    images: Float[Tensor, "n c h w"], columns: Int64[Tensor, " f"], rows: Int64[Tensor, " f"]
) -> Float[Tensor, "n c h2 w2"]:
    """The images with f equally wide strips of columns in another order, and then strips of rows: strip i is what was
    strip `columns[i]`. Rows and columns that f does not divide are left out at the end.
    """
    for dimension, order in ((3, columns), (2, rows)):
        count = len(order)
        if count > 1:
            width = images.shape[dimension] // count
            strips = images.narrow(dimension, 0, width * count).split(width, dimension)
            images = torch.cat([strips[number] for number in order.tolist()], dimension)
    return images


def draw_views(views: Views, images: int, height: int, width: int, rng: torch.Generator) -> list[View]:
    """Draw a view for each of so many images."""
    drawn = []
    # The size of an image whose parts are shuffled.
    height, width = (side // views.parts * views.parts for side in (height, width))
    for _ in range(images):
        columns, rows = (torch.randperm(views.parts, generator=rng) for _ in range(2))
        crop = draw_crop(height, width, views.smallest_area, views.stretch, rng)
        flipped = views.flip and bool(torch.rand((), generator=rng) < 0.5)
        drawn.append(View(columns, rows, crop, flipped))
    return drawn


def view_images(images: Float[Tensor, "n c h w"], views: Sequence[View]) -> Float[Tensor, "n c h w"]:
    """Square images, each in its view, at the size they have; differentiable in the images."""
    side = images.shape[-1]
    seen = []
    for image, view in zip(images.split(1), views, strict=True):
        part = resized_crop(shuffled_parts(image, view.columns, view.rows), view.crop, side)
        seen.append(part.flip(3) if view.flipped else part)
    return torch.cat(seen)
