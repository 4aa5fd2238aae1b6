"""Differentiable siamese augmentation (DSA): what is drawn, and applying it.

A call of DSA draws one operation, uniformly, and that operation's parameters. DC and DM draw once per class and step,
for its real and synthetic images alike ("siamese"); training draws the operation once per mini-batch and its parameters
for each image. Draws come from an explicit rng on the CPU, so that they are the same wherever the images are.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.augment import operations as ops
from glad_ray.machine import upload_together
from glad_ray.spec.augmentation import parse_strategy


@dataclass(frozen=True)
class Draw:
    """One operation and its random numbers for each of several parameter sets."""

    names: tuple[str, ...]
    """operations of the strategy"""
    operations: Int64[Tensor, " s"]
    """index into `names` for each set"""
    uniforms: Float[Tensor, "s 3"]
    """in [0, 1), float64: what an operation makes its parameters of"""

    def only(self, number: int) -> "Draw":
        """Set `number` alone, which `apply` takes for any number of images."""
        one = slice(number, number + 1)
        return Draw(self.names, self.operations[one], self.uniforms[one])


def draw(strategy: str, sets: int, rng: torch.Generator, *, shared_operation: bool = False) -> Draw:
    """Draw `sets` parameter sets: an operation for each, or one for all with `shared_operation`."""
    names = parse_strategy(strategy)
    operations = torch.zeros(sets, dtype=torch.int64)
    if names:
        operations = torch.randint(len(names), (1 if shared_operation else sets,), generator=rng).expand(sets)
    return Draw(names, operations, torch.rand(sets, 3, generator=rng, dtype=torch.float64))


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
    if index is None:
        if len(draws.operations) not in (1, len(images)):
            raise ValueError(
                f"{len(images)} images and {len(draws.operations)} sets: give the index of each image's set"
            )
        index = torch.arange(len(images)) % len(draws.operations)
    operations, uniforms = draws.operations[index], draws.uniforms[index]
    present, counts = operations.unique(return_counts=True)
    if len(present) == 1:
        return _prepared(draws.names[int(present)], images, uniforms)(images)
    # Side by side those of one operation.
    order = operations.argsort(stable=True)
    pieces = [
        _prepared(draws.names[operation], images, own)
        for operation, own in zip(present.tolist(), uniforms[order].split(counts.tolist()), strict=True)
    ]
    merged = [_merged(list(alike)) for _, alike in itertools.groupby(pieces, key=lambda piece: piece.compute)]
    needed = [tensor for piece in merged for tensor in piece.tensors]
    order_there, back, *there = upload_together([order, order.argsort(), *needed], images.device)
    parts = _Permuted.apply(images, order_there, back).split([len(piece.tensors[0]) for piece in merged])
    given = iter(there)
    done = [
        piece.compute(part, *itertools.islice(given, len(piece.tensors)))
        for piece, part in zip(merged, parts, strict=True)
    ]
    permuted: Tensor = _Permuted.apply(torch.cat(done), back, order_there)
    return permuted


def augment(images: Float[Tensor, "n c h w"], strategy: str, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """A mini-batch augmented as in training: one operation for all, parameters for each image."""
    return apply(images, draw(strategy, len(images), rng, shared_operation=True))


def apply_drawn(
    images: Float[Tensor, "n c h w"], operation: str, uniforms: Float[Tensor, "n 3"]
) -> Float[Tensor, "n c h w"]:
    """Augment normalised images by one operation, given by its name; `uniforms` as a `Draw` has them, an own set for
    each image, on the CPU or where the images are.
    """
    return _prepared(operation, images, uniforms)(images)


def _merged(pieces: Sequence[ops.Prepared]) -> ops.Prepared:
    """Operations that compute the same with other draws, as scale and rotate do, as one."""
    if len(pieces) == 1:
        return pieces[0]
    return ops.Prepared(
        pieces[0].compute, tuple(map(torch.cat, zip(*(piece.tensors for piece in pieces), strict=True)))
    )


class _Permuted(torch.autograd.Function):
    """Images in another order, `back` being that of the gradients: one operation, where an index makes zeros first."""

    @staticmethod
    def forward(
        ctx: Any, images: Float[Tensor, "n c h w"], order: Int64[Tensor, " n"], back: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n c h w"]:
        ctx.save_for_backward(order, back)
        return images[order]

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n c h w"], None, None]:
        order, back = ctx.saved_tensors
        permuted: Tensor = _Permuted.apply(grad, back, order)
        return permuted, None, None


def _prepared(name: str, images: Float[Tensor, "n c h w"], uniforms: Float[Tensor, "m 3"]) -> ops.Prepared:
    """An operation for `m` images that are like these."""
    height, width = images.shape[-2:]
    u, v, t = uniforms.unbind(1)

    def real(*values: Tensor) -> list[Tensor]:
        return [value.to(images.dtype) for value in values]

    match name:
        case "color":
            return ops.color(images, *real(u - 0.5, 2 * v, t + 0.5))
        case "crop":
            reach_h, reach_w = ops.crop_reach(height), ops.crop_reach(width)
            return ops.crop(images, _whole(u * (2 * reach_h + 1)) - reach_h, _whole(v * (2 * reach_w + 1)) - reach_w)
        case "cutout":
            # An even square has no middle pixel: its centre may also lie just past the last one.
            choices_h, choices_w = (side + (ops.cutout_size(side) % 2 == 0) for side in (height, width))
            return ops.cutout(images, _whole(u * choices_h), _whole(v * choices_w))
        case "flip":
            return ops.flip(images, u < 0.5)
        case "scale":
            low, high = 1 / ops.SCALE_RATIO, ops.SCALE_RATIO
            return ops.scale(images, *real(u * (high - low) + low, v * (high - low) + low))
        case "rotate":
            return ops.rotate(images, *real((2 * u - 1) * math.radians(ops.ROTATE_DEGREES)))
        case _:
            raise AssertionError(f"{name} is not an operation")


def _whole(values: Tensor) -> Tensor:
    return values.floor().to(torch.int64)
