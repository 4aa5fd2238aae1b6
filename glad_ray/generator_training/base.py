"""What a stage of the training is, and what all of them have in common: real images, and the device."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.augment import apply, draw
from glad_ray.data import Dataset, normalise
from glad_ray.machine import upload
from glad_ray.randomness import rng_for
from glad_ray.spec.generator_training import GeneratorTraining

Tensors = dict[str, Tensor]


class TrainingStage(Protocol):
    """Something that is trained step by step; its tensors are all that it carries from one step to the next."""

    def step(self, number: int) -> Mapping[str, float]:
        """Step `number`, counted from 0; the losses by name."""

    def tensors(self) -> Tensors:
        """What is trained and the state of its optimisers, by name; the tensors themselves, not copies."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A training, its real images, and where it computes."""

    training: GeneratorTraining
    dataset: Dataset
    device: torch.device

    def rng(self, purpose: str, *steps: int) -> torch.Generator:
        """The random state of one purpose at one step."""
        return rng_for(self.training.stored_id, purpose, *steps)

    def draw(self, count: int, rng: torch.Generator) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n c h w"]]:
        """Classes, drawn uniformly, and for each a training image of it, in [-1, 1]."""
        labels = torch.randint(self.training.classes, (count,), generator=rng)
        shares = torch.rand(count, generator=rng, dtype=torch.float64).tolist()
        members = self.dataset.class_indices
        index = [
            members[label][int(share * len(members[label]))]
            for label, share in zip(labels.tolist(), shares, strict=True)
        ]
        pixels = upload(torch.from_numpy(self.dataset.train_images[np.array(index)]), self.device)
        return upload(labels, self.device), in_generator_range(pixels)

    def seen(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [-1, 1] as networks see them: normalised."""
        mean, deviation = self._statistics
        return (images + 1 - 2 * mean) / (2 * deviation)

    def augmented(self, images: Float[Tensor, "n c h w"], rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        """Normalised images after DSA, with an operation drawn for each."""
        return apply(images, draw(self.training.augmentation, len(images), rng))

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, deviation = (
            torch.tensor(values, device=self.device)[:, None, None] for values in (self.dataset.mean, self.dataset.std)
        )
        return mean, deviation


def in_generator_range(pixels: Tensor) -> Float[Tensor, "n c h w"]:
    """8-bit pixels as numbers in [-1, 1]."""
    return normalise(pixels, (0.5,) * pixels.shape[1], (0.5,) * pixels.shape[1])


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The same under names that begin with `prefix` and a stroke."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def of_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Those of a prefix, under their own names again."""
    start = f"{prefix}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
