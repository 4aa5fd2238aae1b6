"""One epoch of training a classifier, the same for experts, evaluation and DC's inner loop.

As the paper's code does it: shuffled mini-batches, the last partial one kept, mean cross-entropy, and DSA with one
operation per mini-batch whose parameters are drawn per image.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import augment

Images = Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]]
"""Normalised images by index."""
Targets = Int64[Tensor, " n"] | Float[Tensor, "n k"]
"""Classes, or class probabilities."""


def train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Images,
    labels: Targets,
    *,
    batch_size: int,
    augmentation: str,
    rng: torch.Generator,
) -> float:
    """Train for one epoch and return the mean loss; `images` gives normalised images by index, labels are classes or
    class probabilities.

    Shuffling and augmentation are drawn from `rng`, on the CPU.
    """
    network.train()
    total: Tensor | float = 0.0
    for batch in torch.randperm(len(labels), generator=rng).split(batch_size):
        batch = batch.to(labels.device)
        logits = network(augment(images(batch), augmentation, rng))
        loss = F.cross_entropy(logits, labels[batch])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total = total + loss.detach() * len(batch)
    return float(total / len(labels))
