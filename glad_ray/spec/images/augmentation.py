"""How images are augmented in trainings: operations by name, one of them (DSA) or several in order, random views of
each image, and mixing the images of a mini-batch with one another.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from glad_ray.errors import unknown
from glad_ray.spec.record import Record

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


class Mixing(Record):
    """How the images of a mini-batch are mixed with one another, after DSA."""

    kind: Literal["cutmix", "mixup"] = "cutmix"
    """cutmix: a box of another image is pasted (Yun et al., 2019); mixup: two images are added (Zhang et al., 2018)"""
    probability: float = Field(default=1.0, gt=0, le=1)
    """share of mini-batches that are mixed"""
    alpha: float = Field(default=1.0, gt=0)
    """the own share of an image is drawn from Beta(alpha, alpha); CutMix then clips its box to the image"""

    @property
    def label(self) -> str:
        """A few words for tables: `cutmix`, `mixup 0.5`."""
        share = "" if self.probability == 1 else f" {self.probability:g}"
        beta = "" if self.alpha == 1 else f" Beta({self.alpha:g})"
        return self.kind + share + beta


class Views(Record):
    """How each image of a mini-batch is seen anew, before DSA: parts shuffled, a crop resized, a flip."""

    parts: int = Field(default=1, ge=1)
    """strips of columns and strips of rows whose order is drawn; 1: none is moved"""
    smallest_area: float = Field(default=0.08, gt=0, le=1)
    """share of the image's area that a crop has at least; 1 with stretch 1: images are not cropped"""
    stretch: float = Field(default=4 / 3, ge=1)
    """largest ratio of the sides of a crop"""
    flip: bool = True
    """whether half of the images are mirrored left and right"""

    @property
    def label(self) -> str:
        """A few words for tables: `2x2 parts, crops from 0.5, flip`."""
        parts = "" if self.parts == 1 else f"{self.parts}x{self.parts} parts"
        crops = "" if self.smallest_area == 1 else f"crops from {self.smallest_area:g}"
        return ", ".join(filter(None, (parts, crops, "flip" if self.flip else ""))) or "as they are"
