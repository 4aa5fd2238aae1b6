"""One epoch of training a classifier, the same for experts, evaluation and DC's inner loop.

As the paper's code does it: shuffled mini-batches, the last partial one kept (see `batch_sizes` for one of a single
image), mean cross-entropy, and DSA with one operation per mini-batch whose parameters are drawn per image.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import augment
from glad_ray.machine import upload
from glad_ray.networks import batch_sizes
from glad_ray.sgd import SGD

Images = Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]]
"""Normalised images, on the device of the labels, by their indices, which are on the CPU."""
Targets = Int64[Tensor, " n"] | Float[Tensor, "n k"]
"""Classes, or class probabilities."""


def train_epoch(
    network: nn.Module,
    optimiser: SGD,
    images: Images,
    labels: Targets,
    *,
    batch_size: int,
    augmentation: str,
    rng: torch.Generator,
) -> float:
    """Train for one epoch and return the mean loss; `images` gives normalised images by index, labels are classes or
    class probabilities.

    Shuffling and augmentation are drawn from `rng`, on the CPU. Raises `UserError` for a single image in a network that
    cannot take one.
    """
    (loss,) = train_epoch_together(
        network, optimiser, images, labels, batch_size=batch_size, augmentation=augmentation, rngs=[rng]
    )
    return loss


def train_epoch_together(
    network: nn.Module,
    optimiser: SGD,
    images: Images,
    labels: Targets,
    *,
    batch_size: int,
    augmentation: str,
    rngs: Sequence[torch.Generator],
) -> list[float]:
    """The same for the networks of an `Ensemble`, with the mean loss of each: a batch is a mini-batch for every one of
    them, each drawn from an `rngs` of its own.
    """
    network.train()
    total = torch.zeros(len(rngs), device=labels.device)
    first = torch.zeros(len(rngs), dtype=torch.int64, device="cpu")
    sizes = batch_sizes(network, lambda: images(first), len(labels), batch_size)
    for batches in zip(*(torch.randperm(len(labels), generator=rng).split(sizes) for rng in rngs), strict=True):
        batch = torch.cat(batches)
        parts = images(batch).chunk(len(rngs))
        truths = labels[upload(batch, labels.device)].chunk(len(rngs))
        logits = network(torch.cat([augment(part, augmentation, rng) for part, rng in zip(parts, rngs, strict=True)]))
        losses = torch.stack([
            F.cross_entropy(each, truth) for each, truth in zip(logits.chunk(len(rngs)), truths, strict=True)
        ])  # fmt: skip
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        total = total + losses.detach() * len(batches[0])
    # The one wait for the device in an epoch.
    losses_of_all: list[float] = (total / len(labels)).tolist()
    return losses_of_all
