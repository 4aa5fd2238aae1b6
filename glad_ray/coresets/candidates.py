"""The images of a class, from which a baseline chooses or makes its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from glad_ray.data import Dataset, network_inputs
from glad_ray.networks import Classifier
from glad_ray.spec import AlgorithmSettings
from glad_ray.trajectories import Trajectories, features

_IMAGES_AT_ONCE = 1024


@dataclass(frozen=True)
class Candidates:
    """The images of a class, and networks trained on the dataset that may be asked about them."""

    dataset: Dataset
    label: int
    """of the class"""
    members: Int64[np.ndarray, " m"]
    """numbers of the training images of the class"""
    settings: AlgorithmSettings
    """of the baseline"""
    trajectories: Trajectories | None
    """of the networks that the settings ask for, if they do"""
    networks: Callable[[], Sequence[Classifier]]
    """those networks, trained, in evaluation mode, on the device"""
    device: torch.device

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.members)

    def pixels(self, index: Int64[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        """Some of them, by their place in the class, 0 to 255."""
        return torch.tensor(self.dataset.train_images[self.members[index.numpy()]])

    def inputs(self) -> Iterator[Float[Tensor, "n c h w"]]:
        """All of them as networks see them, part after part, on the CPU."""
        for start in range(0, self.number, _IMAGES_AT_ONCE):
            chunk = self.dataset.train_images[self.members[start : start + _IMAGES_AT_ONCE]]
            yield network_inputs(chunk, self.dataset)

    def features(self) -> Float[Tensor, "m d"]:
        """Their features in float64: those of the networks, or where there are none the pixels that these would see."""
        return torch.cat([self._features_of(images) for images in self.inputs()]).double()

    def _features_of(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        if self.trajectories is None:
            return images.flatten(1)
        return features(self.trajectories, images.to(self.device)).cpu()
