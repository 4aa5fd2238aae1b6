"""Augmentations by name: which operations are drawn from, and whether one of them or several in order are applied."""

from typing import Annotated

from pydantic import AfterValidator

from glad_ray.errors import unknown

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
DSA = "_".join(OPERATIONS)
"""all of them, which every algorithm of the paper uses"""
SEQUENTIAL = "sequential:"
"""before the operations of an augmentation that applies several of them, in order; without it DSA applies one"""


def is_sequential(strategy: str) -> bool:
    """Whether the operations are applied in order, as IDC and NCFM do it, and not one of them, as DSA does."""
    return strategy.startswith(SEQUENTIAL)


def parse_strategy(strategy: str) -> tuple[str, ...]:
    """The operations of `color_crop_...` or `sequential:color_crop_...`, none for an empty text; raises `UserError` for
    one that does not exist.
    """
    listed = strategy.removeprefix(SEQUENTIAL)
    names = tuple(listed.split("_")) if strategy else ()
    for name in names:
        if name not in OPERATIONS:
            raise unknown("augmentation", name, OPERATIONS)
    return names


def trained_with(strategy: str) -> str:
    """Of a set that was distilled so, what networks are trained on it with where nothing else is said: the same, but
    DSA for a sequential augmentation, which is a part of how algorithms match, so that all sets are scored alike.
    """
    return DSA if is_sequential(strategy) else strategy


def _checked(strategy: str) -> str:
    parse_strategy(strategy)
    return strategy


Augmentation = Annotated[str, AfterValidator(_checked)]
"""operations with _ between them; empty: none; after `sequential:` several are applied in order"""
