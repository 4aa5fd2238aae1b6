"""Differentiable siamese augmentation (DSA): what is drawn, and applying it.

A call of DSA draws one operation, uniformly, and that operation's parameters. DC and DM draw once per class and step,
for its real and synthetic images alike ("siamese"); training draws the operation once per mini-batch and its parameters
for each image. Draws come from an explicit rng on the CPU, so that they are the same wherever the images are.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.augment import operations as ops
from glad_ray.machine import upload
from glad_ray.spec.augmentation import parse_strategy

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Draw:
    """One operation and its random numbers for each of several parameter sets."""

    names: tuple[str, ...]
    """operations of the strategy"""
    operations: Int64[Tensor, " s"]
    """index into `names` for each set"""
    uniforms: Float[Tensor, "s 3"]
    """in [0, 1), float64, on the device of the images: what an operation makes its parameters of"""

    def only(self, number: int) -> "Draw":
        """Set `number` alone, which `apply` takes for any number of images."""
        one = slice(number, number + 1)
        return Draw(self.names, self.operations[one], self.uniforms[one])


def draw(
    strategy: str, sets: int, rng: torch.Generator, device: torch.device = _CPU, *, shared_operation: bool = False
) -> Draw:
    """Draw `sets` parameter sets for images on `device`: an operation for each, or one for all with
    `shared_operation`.
    """
    names = parse_strategy(strategy)
    operations = torch.zeros(sets, dtype=torch.int64)
    if names:
        operations = torch.randint(len(names), (1 if shared_operation else sets,), generator=rng).expand(sets)
    return Draw(names, operations, upload(torch.rand(sets, 3, generator=rng, dtype=torch.float64), device))


def apply(
    images: Float[Tensor, "n c h w"], draws: Draw, index: Int64[Tensor, " n"] | None = None
) -> Float[Tensor, "n c h w"]:
    """Augment normalised images: image i with parameter set `index[i]`.

    Without an index image i uses set i, or all images the only set there is. One call augments any number of images
    with any mix of operations; differentiable in the images, twice too (scale and rotate: not with torch 2.11). The
    index is on the CPU. Raises `ValueError` if there is no index and sets and images are not
    equally many.
    """
    if not draws.names:
        return images
    if index is None and len(draws.operations) not in (1, len(images)):
        raise ValueError(f"{len(images)} images and {len(draws.operations)} sets: give the index of each image's set")
    uniforms, device = draws.uniforms.to(images.device), images.device
    present = draws.operations.unique().tolist()
    if len(present) == 1:
        of_each = uniforms if index is None else uniforms[upload(index, device)]
        return _apply_one(draws.names[present[0]], images, of_each.expand(len(images), -1))
    sets = torch.arange(len(images)) if index is None else index
    operations = draws.operations[sets]
    members = [(operations == operation).nonzero().squeeze(1) for operation in operations.unique()]
    pieces = [
        _apply_one(draws.names[int(operations[of[0]])], images[upload(of, device)], uniforms[upload(sets[of], device)])
        for of in members
    ]
    return torch.cat(pieces)[upload(torch.cat(members).argsort(), device)]


def augment(images: Float[Tensor, "n c h w"], strategy: str, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """A mini-batch augmented as in training: one operation for all, parameters for each image."""
    return apply(images, draw(strategy, len(images), rng, images.device, shared_operation=True))


def _apply_one(name: str, images: Float[Tensor, "n c h w"], uniforms: Float[Tensor, "n 3"]) -> Float[Tensor, "n c h w"]:
    height, width = images.shape[-2:]
    u, v, t = uniforms.unbind(1)

    def real(values: Tensor) -> Tensor:
        return values.to(images)

    def whole(values: Tensor) -> Tensor:
        return values.floor().to(images.device, torch.int64)

    match name:
        case "color":
            return ops.color(images, real(u - 0.5), real(2 * v), real(t + 0.5))
        case "crop":
            reach_h, reach_w = ops.crop_reach(height), ops.crop_reach(width)
            return ops.crop(images, whole(u * (2 * reach_h + 1)) - reach_h, whole(v * (2 * reach_w + 1)) - reach_w)
        case "cutout":
            # An even square has no middle pixel: its centre may also lie just past the last one.
            choices_h, choices_w = (side + (ops.cutout_size(side) % 2 == 0) for side in (height, width))
            return ops.cutout(images, whole(u * choices_h), whole(v * choices_w))
        case "flip":
            return ops.flip(images, (u < 0.5).to(images.device))
        case "scale":
            low, high = 1 / ops.SCALE_RATIO, ops.SCALE_RATIO
            return ops.scale(images, real(u * (high - low) + low), real(v * (high - low) + low))
        case "rotate":
            return ops.rotate(images, real((2 * u - 1) * math.radians(ops.ROTATE_DEGREES)))
        case _:
            raise AssertionError(f"{name} is not an operation")
