"""A synthetic set made by other code: in the place of a run, what is known of it and what its evaluation needs."""

import json
from collections.abc import Collection
from typing import Literal

from pydantic import Field

from glad_ray.errors import DataError
from glad_ray.spec.images.augmentation import DSA, Augmentation
from glad_ray.spec.images.whitening import Whitening
from glad_ray.spec.record import Record
from glad_ray.spec.run import Run


class ForeignSet(Record):
    """What is known of a synthetic set that no run of ours made; it has the words of `Run` that evaluation asks for."""

    origin: Literal["elsewhere"] = "elsewhere"
    dataset: str
    """name of the dataset it stands for"""
    resolution: int = Field(ge=1)
    """side of the images in pixels"""
    antialias: bool = True
    """smooth the real images it is tested on as they are made smaller"""
    whitening: Whitening = "none"
    """how its images, and the real ones it is tested on, are whitened"""
    images_per_class: int = Field(ge=1)
    soft_labels: bool = False
    """whether the set has soft labels of its own"""
    augmentation: Augmentation = DSA
    """DSA operations it was made for, which its evaluation uses too; empty: none"""
    sha256: str
    """of its images and labels"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("antialias", "whitening")

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits made of the content of this record."""
        return self.content_id

    @property
    def pixels(self) -> int:
        """Side of the images in pixels."""
        return self.resolution

    @property
    def held_out(self) -> int:
        """Training images per class kept from its distillation: none, as far as is known."""
        return 0

    @property
    def ipc(self) -> int:
        """Images per class."""
        return self.images_per_class


def read_origin(record: str) -> Run | ForeignSet:
    """What a synthetic set's record (JSON) says it comes from; raises `UserError` if the record is neither."""
    try:
        foreign = "origin" in json.loads(record)
    except (TypeError, ValueError) as error:
        raise DataError("The record of where a set comes from is damaged: make the set again.") from error
    return (ForeignSet if foreign else Run).model_validate_json(record)
