"""A dataset in memory: numpy arrays of 8-bit images, which processes can share without a copy."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from glad_ray.data.whitening import ZCA


class Split(NamedTuple):
    """Images with their labels."""

    images: UInt8[np.ndarray, "n c h w"]
    labels: Int64[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Real images of one dataset at one resolution, values 0..255; `load_dataset` sorts every split by label."""

    name: str
    train_images: UInt8[np.ndarray, "n c h w"]
    """what distillation and experts see"""
    train_labels: Int64[np.ndarray, " n"]
    held_out_images: UInt8[np.ndarray, "m c h w"]
    """training images that distillation never sees, for choosing a step; may be none"""
    held_out_labels: Int64[np.ndarray, " m"]
    test_images: UInt8[np.ndarray, "t c h w"]
    test_labels: Int64[np.ndarray, " t"]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    """per channel, of images in [0, 1]"""
    std: tuple[float, ...]
    whitening: ZCA | None = None
    """fitted to the training images; None: images are normalised with mean and std instead"""

    @cached_property
    def class_indices(self) -> tuple[Int64[np.ndarray, " k"], ...]:
        """Per class, the indices of its training images, ascending."""
        return tuple(np.flatnonzero(self.train_labels == label) for label in range(len(self.class_names)))
