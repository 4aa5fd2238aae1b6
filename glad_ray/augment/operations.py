"""The six DSA operations with given draws; all are linear or affine in the images and differentiable.

Zhao and Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", 2021, as GLaD's code executes them.
Images are normalised, so 0 (what crop, cutout, scale and rotate fill with) is the dataset's mean. Every draw is a
vector with one entry an image, on the CPU or where the images are. An operation is prepared first: what follows from
the draws alone is computed where they are, so that a GPU is asked for little.

Not built on kornia, whose saturation and contrast are other functions and whose `homography_warp` gives the same
samples in 1.5 to 3.5 times the time of `affine_grid` and `grid_sample` (measured on CPU, 10 to 2,560 images of 32
pixels and 10 of 128).
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from glad_ray import machine
from glad_ray.errors import unknown
from glad_ray.machine import upload_together

CROP_SHARE = 0.125
"""largest shift of a crop, as a share of the side"""
CUTOUT_SHARE = 0.5
"""side of the square cut out, as a share of the image's"""
SCALE_RATIO = 1.2
"""scale factors lie in [1 / ratio, ratio)"""
ROTATE_DEGREES = 15.0
"""angles lie in [-degrees, degrees)"""
WARPS = ("scale", "rotate")
"""operations that sample between pixels"""


@dataclass(frozen=True)
class Prepared:
    """An operation whose draws are made."""

    compute: Callable[..., Float[Tensor, "n c h w"]]
    """called with the images and then these tensors, on the device of the images"""
    tensors: tuple[Tensor, ...]
    """what it needs beside the images, with an entry for each image"""

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The images after the operation."""
        return self.compute(images, *upload_together(self.tensors, images.device))


def brightness(images: Float[Tensor, "n c h w"], offset: Float[Tensor, " n"]) -> Prepared:
    """Add `offset`, from [-0.5, 0.5)."""
    return Prepared(_brightness, (offset,))


def saturation(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Prepared:
    """Scale each pixel's distance from its mean over channels by `factor`, from [0, 2)."""
    return Prepared(_saturation, (factor,))


def contrast(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Prepared:
    """Scale each image's distance from its mean by `factor`, from [0.5, 1.5)."""
    return Prepared(_contrast, (factor,))


def color(
    images: Float[Tensor, "n c h w"],
    offset: Float[Tensor, " n"],
    saturation_factor: Float[Tensor, " n"],
    contrast_factor: Float[Tensor, " n"],
) -> Prepared:
    """Brightness, then saturation, then contrast."""
    if not machine.few_operations_are_fast(images.device):
        return Prepared(_color, (offset, saturation_factor, contrast_factor))
    # The three multiplied out.
    own = contrast_factor * saturation_factor
    return Prepared(_mixed, (offset, own, contrast_factor - own, 1 - contrast_factor))


def crop(images: Float[Tensor, "n c h w"], shift_h: Int64[Tensor, " n"], shift_w: Int64[Tensor, " n"]) -> Prepared:
    """Output pixel (i, j) is input pixel (i + shift_h, j + shift_w), 0 outside."""
    tensors = []
    for side, shift in zip(images.shape[2:], (shift_h, shift_w), strict=True):
        source = torch.arange(side, device=shift.device) + shift.view(-1, 1)
        tensors += [source.clamp(0, side - 1), (source >= 0) & (source < side)]
    return Prepared(_moved, tuple(tensors))


def cutout(images: Float[Tensor, "n c h w"], center_h: Int64[Tensor, " n"], center_w: Int64[Tensor, " n"]) -> Prepared:
    """Set a square of half the side around a centre to 0, clipped to the image."""
    kept = []
    for side, center in zip(images.shape[2:], (center_h, center_w), strict=True):
        size = cutout_size(side)
        first = (center - size // 2).view(-1, 1)
        position = torch.arange(side, device=center.device)
        kept.append((position < first) | (position >= first + size))
    return Prepared(_kept_in_either, tuple(kept))


def flip(images: Float[Tensor, "n c h w"], flipped: Bool[Tensor, " n"]) -> Prepared:
    """Mirror left and right where `flipped`."""
    return Prepared(_flip, (flipped,))


def scale(
    images: Float[Tensor, "n c h w"], sx: Float[Tensor, " n"], sy: Float[Tensor, " n"], *, align_corners: bool = True
) -> Prepared:
    """Sample at (sx u, sy v) for the output's normalised coordinates (u, v); above 1 the content shrinks.

    With `align_corners` -1 and 1 are the centres of the outermost pixels, else their outer edges.
    """
    zero = torch.zeros_like(sx)
    return _warping(torch.stack([sx, zero, zero, sy], 1), align_corners)


def rotate(images: Float[Tensor, "n c h w"], angle_rad: Float[Tensor, " n"], *, align_corners: bool = True) -> Prepared:
    """Rotate by `angle_rad` in normalised coordinates, which shears an image that is not square.

    `align_corners` as `scale` has it.
    """
    cos, sin = angle_rad.cos(), angle_rad.sin()
    return _warping(torch.stack([cos, -sin, sin, cos], 1), align_corners)


def _warping(matrix: Float[Tensor, "n 4"], align_corners: bool) -> Prepared:
    # Two functions, for what is computed by one and the same is computed at once.
    compute = _warp if align_corners else _warp_by_edges
    return Prepared(compute, (F.pad(matrix.view(-1, 2, 2), (0, 1)),))


def _brightness(images: Float[Tensor, "n c h w"], offset: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    return images + offset.view(-1, 1, 1, 1)


def _saturation(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    mean = images.mean(1, keepdim=True)
    return (images - mean) * factor.view(-1, 1, 1, 1) + mean


def _contrast(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * factor.view(-1, 1, 1, 1) + mean


def _color(
    images: Float[Tensor, "n c h w"],
    offset: Float[Tensor, " n"],
    saturation_factor: Float[Tensor, " n"],
    contrast_factor: Float[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    return _contrast(_saturation(_brightness(images, offset), saturation_factor), contrast_factor)


def _mixed(
    images: Float[Tensor, "n c h w"],
    offset: Float[Tensor, " n"],
    own: Float[Tensor, " n"],
    of_pixel: Float[Tensor, " n"],
    of_image: Float[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    """The sum of `offset`, each value times `own`, the mean of its pixel times `of_pixel`, and that of its image times
    `of_image`.
    """
    mixed: Tensor = _Mixed.apply(images, *(each.view(-1, 1, 1, 1) for each in (offset, own, of_pixel, of_image)))
    return mixed


class _Mixed(torch.autograd.Function):
    """But for the offset, images are mixed by a symmetric matrix, and their gradients by the same."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, offset: Tensor | None, own: Tensor, of_pixel: Tensor, of_image: Tensor
    ) -> Tensor:
        ctx.save_for_backward(own, of_pixel, of_image)
        pixel = images.mean(1, keepdim=True)
        image = pixel.mean((2, 3), keepdim=True)
        mixed = of_image * image if offset is None else torch.addcmul(offset, of_image, image)
        return torch.addcmul(torch.addcmul(mixed, of_pixel, pixel), own, images)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Mixed.apply(grad, None, *ctx.saved_tensors), None, None, None, None


def _moved(
    images: Float[Tensor, "n c h w"],
    rows: Int64[Tensor, "n h"],
    rows_inside: Bool[Tensor, "n h"],
    columns: Int64[Tensor, "n w"],
    columns_inside: Bool[Tensor, "n w"],
) -> Float[Tensor, "n c h w"]:
    moved = images.gather(2, rows[:, None, :, None].expand_as(images)) * rows_inside[:, None, :, None]
    return moved.gather(3, columns[:, None, None].expand_as(images)) * columns_inside[:, None, None]


def _kept_in_either(
    images: Float[Tensor, "n c h w"], rows: Bool[Tensor, "n h"], columns: Bool[Tensor, "n w"]
) -> Float[Tensor, "n c h w"]:
    return images * (rows[:, None, :, None] | columns[:, None, None])


def _flip(images: Float[Tensor, "n c h w"], flipped: Bool[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)


def _warp(images: Float[Tensor, "n c h w"], theta: Float[Tensor, "n 2 3"]) -> Float[Tensor, "n c h w"]:
    """Bilinear samples at theta (u, v, 1), 0 outside, with the centres of corner pixels at +-1."""
    return _sampled(images, theta, align_corners=True)


def _warp_by_edges(images: Float[Tensor, "n c h w"], theta: Float[Tensor, "n 2 3"]) -> Float[Tensor, "n c h w"]:
    """The same with the edges of the image at +-1."""
    return _sampled(images, theta, align_corners=False)


def _sampled(
    images: Float[Tensor, "n c h w"], theta: Float[Tensor, "n 2 3"], *, align_corners: bool
) -> Float[Tensor, "n c h w"]:
    grid = F.affine_grid(theta, list(images.shape), align_corners=align_corners)
    if torch.are_deterministic_algorithms_enabled():
        return _gathered(images, grid, align_corners=align_corners)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners)


def _gathered(
    images: Float[Tensor, "n c h w"], grid: Float[Tensor, "n h w 2"], *, align_corners: bool
) -> Float[Tensor, "n c h w"]:
    """What `grid_sample` gives, from operations whose gradients are deterministic on a GPU too."""
    _, channels, height, width = images.shape
    if align_corners:
        x, y = (grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)
    else:
        x, y = ((grid[..., 0] + 1) * width - 1) / 2, ((grid[..., 1] + 1) * height - 1) / 2
    pixels, total = images.flatten(2), torch.zeros_like(images)
    for column, row in itertools.product((x.floor(), x.floor() + 1), (y.floor(), y.floor() + 1)):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weight = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside
        index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long().flatten(1)
        taken = pixels.gather(2, index[:, None].expand(-1, channels, -1)).view_as(images)
        total = total + taken * weight[:, None]
    return total


def cutout_size(side: int) -> int:
    """Side in pixels of the square that cutout sets to 0."""
    return int(CUTOUT_SHARE * side + 0.5)


def crop_reach(side: int) -> int:
    """Largest shift of a crop in pixels."""
    return int(CROP_SHARE * side + 0.5)


_OPERATIONS: dict[str, Callable[..., Prepared]] = {
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}


def apply_operation(
    name: str, images: Float[Tensor, "n c h w"], draws: Mapping[str, Tensor], *, align_corners: bool = True
) -> Float[Tensor, "n c h w"]:
    """One operation by name with its draws by name, as the function of that name takes them; `align_corners` is of
    scale and rotate alone.
    """
    if name not in _OPERATIONS:
        raise unknown("augmentation", name, _OPERATIONS)
    warps = {"align_corners": align_corners} if name in WARPS else {}
    return _OPERATIONS[name](images, **draws, **warps)(images)
