"""Random real images of each class."""

import torch
from jaxtyping import Int64
from torch import Tensor

from glad_ray.coresets.candidates import Candidates


def random_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Some by chance."""
    return torch.randperm(candidates.number, generator=rng)[:count]
