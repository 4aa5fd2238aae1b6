"""The six DSA operations with given draws; all are linear or affine in the images and differentiable.

Zhao and Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", 2021, as GLaD's code executes them.
Images are normalised, so 0 (what crop, cutout, scale and rotate fill with) is the dataset's mean. Every draw is a
vector with one entry an image, on the CPU or where the images are; what follows from the draws alone is computed where
they are, so that a GPU is asked for little. Not built on kornia, whose saturation and contrast are other functions and
whose `homography_warp` gives the same samples in 1.5 to 3.5 times the time of `affine_grid` and `grid_sample` (measured
on CPU, 10 to 2,560 images of 32 pixels and 10 of 128).
"""

import itertools
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from glad_ray.errors import unknown
from glad_ray.machine import upload

CROP_SHARE = 0.125
"""largest shift of a crop, as a share of the side"""
CUTOUT_SHARE = 0.5
"""side of the square cut out, as a share of the image's"""
SCALE_RATIO = 1.2
"""scale factors lie in [1 / ratio, ratio)"""
ROTATE_DEGREES = 15.0
"""angles lie in [-degrees, degrees)"""


def brightness(images: Float[Tensor, "n c h w"], offset: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Add `offset`, from [-0.5, 0.5)."""
    return images + _of_images(offset, images)


def saturation(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Scale each pixel's distance from its mean over channels by `factor`, from [0, 2)."""
    mean = images.mean(1, keepdim=True)
    return (images - mean) * _of_images(factor, images) + mean


def contrast(images: Float[Tensor, "n c h w"], factor: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Scale each image's distance from its mean by `factor`, from [0.5, 1.5)."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * _of_images(factor, images) + mean


def crop(
    images: Float[Tensor, "n c h w"], shift_h: Int64[Tensor, " n"], shift_w: Int64[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Output pixel (i, j) is input pixel (i + shift_h, j + shift_w), 0 outside."""
    for dim, shift in ((2, shift_h), (3, shift_w)):
        side = images.shape[dim]
        source = torch.arange(side, device=shift.device) + shift.view(-1, 1)
        inside = (source >= 0) & (source < side)
        shape = (len(images), 1, side, 1) if dim == 2 else (len(images), 1, 1, side)
        index = upload(source.clamp(0, side - 1), images.device).view(shape).expand_as(images)
        images = images.gather(dim, index) * upload(inside, images.device).view(shape)
    return images


def cutout(
    images: Float[Tensor, "n c h w"], center_h: Int64[Tensor, " n"], center_w: Int64[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Set a square of half the side around a centre to 0, clipped to the image."""
    kept = []
    for dim, center in ((2, center_h), (3, center_w)):
        side = images.shape[dim]
        size = cutout_size(side)
        first = (center - size // 2).view(-1, 1)
        position = torch.arange(side, device=center.device)
        kept.append(upload((position < first) | (position >= first + size), images.device))
    return images * (kept[0].view(-1, 1, images.shape[2], 1) | kept[1].view(-1, 1, 1, images.shape[3]))


def flip(images: Float[Tensor, "n c h w"], flipped: Bool[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Mirror left and right where `flipped`."""
    return torch.where(upload(flipped, images.device).view(-1, 1, 1, 1), images.flip(3), images)


def scale(
    images: Float[Tensor, "n c h w"], sx: Float[Tensor, " n"], sy: Float[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Sample at (sx u, sy v) for the output's normalised coordinates (u, v); above 1 the content shrinks."""
    zero = torch.zeros_like(sx)
    return _warp(images, torch.stack([sx, zero, zero, sy], 1).view(-1, 2, 2))


def rotate(images: Float[Tensor, "n c h w"], angle_rad: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """Rotate by `angle_rad` in normalised coordinates, which shears an image that is not square."""
    cos, sin = angle_rad.cos(), angle_rad.sin()
    return _warp(images, torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2))


def _warp(images: Float[Tensor, "n c h w"], matrix: Float[Tensor, "n 2 2"]) -> Float[Tensor, "n c h w"]:
    """Bilinear samples at matrix (u, v), 0 outside, with corners at +-1."""
    theta = upload(F.pad(matrix, (0, 1)), images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=True)
    if torch.are_deterministic_algorithms_enabled():
        return _gathered(images, grid)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _gathered(images: Float[Tensor, "n c h w"], grid: Float[Tensor, "n h w 2"]) -> Float[Tensor, "n c h w"]:
    """What `grid_sample` gives, from operations whose gradients are deterministic on a GPU too."""
    _, channels, height, width = images.shape
    x, y = (grid[..., 0] + 1) / 2 * (width - 1), (grid[..., 1] + 1) / 2 * (height - 1)
    pixels, total = images.flatten(2), torch.zeros_like(images)
    for column, row in itertools.product((x.floor(), x.floor() + 1), (y.floor(), y.floor() + 1)):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weight = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside
        index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long().flatten(1)
        taken = pixels.gather(2, index[:, None].expand(-1, channels, -1)).view_as(images)
        total = total + taken * weight[:, None]
    return total


def color(
    images: Float[Tensor, "n c h w"],
    offset: Float[Tensor, " n"],
    saturation_factor: Float[Tensor, " n"],
    contrast_factor: Float[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    """Brightness, then saturation, then contrast."""
    if offset.device != images.device:
        drawn = upload(torch.stack([offset, saturation_factor, contrast_factor]), images.device)
        offset, saturation_factor, contrast_factor = drawn.unbind(0)
    return contrast(saturation(brightness(images, offset), saturation_factor), contrast_factor)


def _of_images(draws: Float[Tensor, " n"], images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1 1"]:
    return upload(draws, images.device).view(-1, 1, 1, 1)


def cutout_size(side: int) -> int:
    """Side in pixels of the square that cutout sets to 0."""
    return int(CUTOUT_SHARE * side + 0.5)


def crop_reach(side: int) -> int:
    """Largest shift of a crop in pixels."""
    return int(CROP_SHARE * side + 0.5)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
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
    name: str, images: Float[Tensor, "n c h w"], draws: Mapping[str, Tensor]
) -> Float[Tensor, "n c h w"]:
    """One operation by name with its draws by name, as the function of that name takes them."""
    if name not in _OPERATIONS:
        raise unknown("augmentation", name, _OPERATIONS)
    return _OPERATIONS[name](images, **draws)
