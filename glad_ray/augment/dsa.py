"""Differentiable siamese augmentation (DSA): what is drawn, and applying it; the sequential one (sequential.py) too.

A call of DSA draws one operation, uniformly, and that operation's parameters; one of a sequential augmentation draws
several that are applied in order. DC and DM draw once per class and step,
for its real and synthetic images alike ("siamese"); training draws the operation once per mini-batch and its parameters
for each image. Draws come from an explicit rng on the CPU, so that they are the same wherever the images are.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.augment import operations as ops
from glad_ray.augment.sequential import chains
from glad_ray.machine import upload_together
from glad_ray.spec.images.augmentation import SEQUENTIAL, is_sequential, parse_strategy

UNIFORMS = 3
"""random numbers that an operation makes its parameters of, at most"""


@dataclass(frozen=True)
class Draw:
    """One operation, or several in order, and random numbers for each of several parameter sets."""

    names: tuple[str, ...]
    """operations of the strategy"""
    operations: Int64[Tensor, " s"]
    """index into `chains` for each set, which of DSA are the `names`"""
    uniforms: Float[Tensor, "s u"]
    """in [0, 1), float64: three for each operation of a chain, of which it makes its parameters"""
    sequential: bool = False
    """whether several are applied in order, and not one, as DSA does"""

    @property
    def chains(self) -> tuple[tuple[str, ...], ...]:
        """What a set may have drawn: operations in the order in which they are applied."""
        return chains(self.names) if self.sequential else tuple((name,) for name in self.names)

    def only(self, number: int) -> "Draw":
        """Set `number` alone, which `apply` takes for any number of images."""
        one = slice(number, number + 1)
        return Draw(self.names, self.operations[one], self.uniforms[one], self.sequential)

    def shared(self) -> str | None:
        """What all sets have drawn, as `apply_drawn` takes it; None: nothing, for there is no augmentation."""
        return _named(self.chains[int(self.operations[0])], self.sequential) if self.names else None


def uniforms_of(strategy: str) -> int:
    """Random numbers that a set of a strategy has."""
    return UNIFORMS * (len(chains(parse_strategy(strategy))[0]) if is_sequential(strategy) else 1)


def choices(strategy: str) -> list[str]:
    """What the sets of a mini-batch may have drawn of a strategy, as `apply_drawn` takes it."""
    names, sequential = parse_strategy(strategy), is_sequential(strategy)
    return [_named(chain, sequential) for chain in (chains(names) if sequential else ((name,) for name in names))]


def draw(strategy: str, sets: int, rng: torch.Generator, *, shared_operation: bool = False) -> Draw:
    """Draw `sets` parameter sets: an operation for each, or one for all with `shared_operation`.

    Of a sequential strategy, which of crop, scale and rotate it has takes the place of the operation.
    """
    names, sequential = parse_strategy(strategy), is_sequential(strategy)
    operations = torch.zeros(sets, dtype=torch.int64)
    if names:
        operations = torch.randint(len(choices(strategy)), (1 if shared_operation else sets,), generator=rng).expand(
            sets
        )
    uniforms = torch.rand(sets, uniforms_of(strategy), generator=rng, dtype=torch.float64)
    return Draw(names, operations, uniforms, sequential)


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
    aligned = not draws.sequential
    if len(present) == 1:
        return _through(_prepared_chain(draws.chains[int(present)], images, uniforms, aligned), images)
    # Side by side those of one chain of operations.
    order = operations.argsort(stable=True)
    pieces = [
        _prepared_chain(draws.chains[operation], images, own, aligned)
        for operation, own in zip(present.tolist(), uniforms[order].split(counts.tolist()), strict=True)
    ]
    merged = [
        _merged(list(alike)) for _, alike in itertools.groupby(pieces, key=lambda chain: [o.compute for o in chain])
    ]
    needed = [tensor for chain in merged for operation in chain for tensor in operation.tensors]
    order_there, back, *there = upload_together([order, order.argsort(), *needed], images.device)
    parts = _Permuted.apply(images, order_there, back).split([len(chain[0].tensors[0]) for chain in merged])
    given = iter(there)
    done = [_computed(chain, part, given) for chain, part in zip(merged, parts, strict=True)]
    permuted: Tensor = _Permuted.apply(torch.cat(done), back, order_there)
    return permuted


def augment(images: Float[Tensor, "n c h w"], strategy: str, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
    """A mini-batch augmented as in training: one operation for all, parameters for each image."""
    return apply(images, draw(strategy, len(images), rng, shared_operation=True))


def apply_drawn(
    images: Float[Tensor, "n c h w"], operation: str, uniforms: Float[Tensor, "n u"]
) -> Float[Tensor, "n c h w"]:
    """Augment normalised images by what `Draw.shared` says: one operation by its name, or several in order;
    `uniforms` as a `Draw` has them, an own set for each image, on the CPU or where the images are.
    """
    return _through(_prepared_chain(parse_strategy(operation), images, uniforms, not is_sequential(operation)), images)


def apply_chosen(
    images: Float[Tensor, "n c h w"], strategy: str, chosen: Int64[Tensor, " n"], uniforms: Float[Tensor, "n u"]
) -> Float[Tensor, "n c h w"]:
    """Augment normalised images where they lie, each by that of the `choices` of a strategy that is chosen for it.

    All choices are computed and one is taken, so that nothing but values depends on which are chosen: one CUDA graph
    does for all.
    """
    done = torch.stack([apply_drawn(images, choice, uniforms) for choice in choices(strategy)])
    return done[chosen, torch.arange(len(images), device=images.device)]


def _named(chain: Sequence[str], sequential: bool) -> str:
    return SEQUENTIAL + "_".join(chain) if sequential else chain[0]


def _through(chain: Sequence[ops.Prepared], images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    needed = [tensor for operation in chain for tensor in operation.tensors]
    return _computed(chain, images, iter(upload_together(needed, images.device)))


def _computed(
    chain: Sequence[ops.Prepared], images: Float[Tensor, "n c h w"], given: Iterator[Tensor]
) -> Float[Tensor, "n c h w"]:
    """Images after operations in order, whose tensors are taken from those `given` on their device."""
    for operation in chain:
        images = operation.compute(images, *itertools.islice(given, len(operation.tensors)))
    return images


def _merged(chains: Sequence[Sequence[ops.Prepared]]) -> Sequence[ops.Prepared]:
    """Operations that compute the same with other draws, as scale and rotate do, as one."""
    if len(chains) == 1:
        return chains[0]
    return [
        ops.Prepared(alike[0].compute, tuple(map(torch.cat, zip(*(each.tensors for each in alike), strict=True))))
        for alike in zip(*chains, strict=True)
    ]


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


def _prepared_chain(
    names: Sequence[str], images: Float[Tensor, "n c h w"], uniforms: Float[Tensor, "m u"], align_corners: bool
) -> list[ops.Prepared]:
    """Operations in order for `m` images that are like these."""
    numbers = uniforms.split(UNIFORMS, 1)
    return [_prepared(name, images, own, align_corners) for name, own in zip(names, numbers, strict=True)]


def _prepared(
    name: str, images: Float[Tensor, "n c h w"], uniforms: Float[Tensor, "m 3"], align_corners: bool
) -> ops.Prepared:
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
            factors = real(u * (high - low) + low, v * (high - low) + low)
            return ops.scale(images, *factors, align_corners=align_corners)
        case "rotate":
            angles = real((2 * u - 1) * math.radians(ops.ROTATE_DEGREES))
            return ops.rotate(images, *angles, align_corners=align_corners)
        case _:
            raise AssertionError(f"{name} is not an operation")


def _whole(values: Tensor) -> Tensor:
    return values.floor().to(torch.int64)
