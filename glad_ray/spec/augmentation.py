"""Differentiable siamese augmentation (DSA) by name: which operations are drawn from."""

from typing import Annotated

from pydantic import AfterValidator

from glad_ray.errors import unknown

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
DSA = "_".join(OPERATIONS)
"""all of them, which every algorithm uses"""


def parse_strategy(strategy: str) -> tuple[str, ...]:
    """The operations of `color_crop_...`, none for an empty text; raises `UserError` for one that does not exist."""
    names = tuple(strategy.split("_")) if strategy else ()
    for name in names:
        if name not in OPERATIONS:
            raise unknown("augmentation", name, OPERATIONS)
    return names


def _checked(strategy: str) -> str:
    parse_strategy(strategy)
    return strategy


Augmentation = Annotated[str, AfterValidator(_checked)]
"""operations with _ between them; empty: none"""
