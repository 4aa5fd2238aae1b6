"""Spaces of several layers, `f0>f4>f8`: a run optimises in the first, hands its latents over to the next, and so on.

H-PD, also called H-GLaD: Zhong et al., "Hierarchical Features Matter: A Deep Exploration of Progressive
Parameterization Method for Dataset Distillation", CVPR 2025.
"""

import re
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Literal

from glad_ray.errors import UserError
from glad_ray.spec.experts import Positive
from glad_ray.spec.record import Record

REAL_IMAGES = 512
"""real images per class, at most, of the feature distance with one network per layer"""
REFERENCE_NETWORKS = 5
"""networks that see real images, of the released code's feature distance"""
REAL_BATCH_SIZE = 256
"""real images per class that this counts with for an algorithm whose steps see none"""
BETWEEN = ">"
_ALL = ".."
_FEATURES = re.compile(r"f(\d{1,4})")
_FEWEST_SHORTENED = 3
"""neighbouring layers of which only the first and the last are written"""


class LayerSchedule(Record):
    """How a run goes through the layers of its space; says nothing for a space of one layer."""

    shares: tuple[Positive, ...] = ()
    """of the run's iterations, one number per layer, in any unit; empty: as many in every layer"""
    choice: Literal["nearest", "last"] = "nearest"
    """what a layer leaves to the next: nearest (the latents, of those before each step and after the last, whose images
    have the smallest feature distance from real ones) or last (those after its last step)"""
    distance: Literal["common", "released"] = "common"
    """of features, for the choice: common (one random network per layer sees real and synthetic images alike, so that
    the steps of a layer can be compared) or released (as the released code has it: a new network and new augmentations
    at each step, against a mean over five other networks, of whose last map only the first draw counts)"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("shares", "choice", "distance")


def spaces_of(space: str) -> tuple[str, ...]:
    """The spaces that a name stands for, one after another: most often itself alone.

    Blanks around `>` are ignored, and `f0>..>f3` is `f0>f1>f2>f3`. Raises `UserError` if a part is missing.
    """
    if BETWEEN not in space:
        return (space,)
    parts = [part.strip() for part in space.split(BETWEEN)]
    if not all(parts):
        raise UserError(f"Space {space!r} lacks a layer beside a {BETWEEN!r}: write it as f0>f4>f8")
    found: list[str] = []
    for index, part in enumerate(parts):
        found += _between(space, parts, index) if part == _ALL else [part]
    return tuple(found)


def space_named(space: str) -> str:
    """The one name of a space: without blanks, three neighbouring layers or more as `f0>..>f2`."""
    spaces = spaces_of(space)
    return spaces[0] if len(spaces) == 1 else joined(spaces)


def joined(spaces: Sequence[str]) -> str:
    """The name of a space of these layers."""
    parts: list[str] = []
    for neighbours in _neighbours(spaces):
        short = len(neighbours) >= _FEWEST_SHORTENED
        parts += [neighbours[0], _ALL, neighbours[-1]] if short else neighbours
    return BETWEEN.join(parts)


def last_iterations(iterations: int, layers: int, shares: Sequence[float]) -> tuple[int, ...]:
    """The number of iterations after which each of so many layers is left; `shares` as `LayerSchedule` has them.

    Raises `UserError` if a layer gets none, or there are not as many shares as layers.
    """
    if shares and len(shares) != layers:
        raise UserError(f"schedule.shares has {len(shares)} numbers for {layers} layers: give one for each, or none")
    weights = [*accumulate(shares or [1.0] * layers)]
    ends = tuple(round(iterations * weight / weights[-1]) for weight in weights)
    if any(end <= before for before, end in zip((0, *ends), ends, strict=False)):
        raise UserError(
            f"{iterations} iterations leave a layer of the {layers} without one: raise algorithm.iterations, or name "
            "fewer layers"
        )
    return ends


def draws_per_network(images: int, classes: int, real_batch_size: int) -> tuple[int, int]:
    """How often the released code draws real images of every class for a network, and how many of each class."""
    return max(1, 10 * images // (classes * real_batch_size)), max(1, real_batch_size // 10)


def _number(space: str) -> int | None:
    named = _FEATURES.fullmatch(space)
    return int(named[1]) if named else None


def _between(space: str, parts: Sequence[str], index: int) -> list[str]:
    """The layers that `..` stands for."""
    around = [_number(parts[at]) if 0 <= at < len(parts) else None for at in (index - 1, index + 1)]
    first, last = around
    if first is None or last is None or first >= last:
        raise UserError(f"Space {space!r} has {_ALL!r} between no two rising layers: write it as f0>..>f8")
    return [f"f{number}" for number in range(first + 1, last)]


def _neighbours(spaces: Sequence[str]) -> list[list[str]]:
    """Parted wherever a layer is not the next after the one before."""
    groups: list[list[str]] = []
    before: int | None = None
    for space in spaces:
        number = _number(space)
        if number is not None and before is not None and number == before + 1:
            groups[-1].append(space)
        else:
            groups.append([space])
        before = number
    return groups
