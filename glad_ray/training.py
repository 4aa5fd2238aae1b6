"""One epoch of training a classifier, the same for experts, evaluation and DC's inner loop.

As the paper's code does it: shuffled mini-batches, the last partial one kept (see `batch_sizes` for one of a single
image), mean cross-entropy, and DSA with one operation per mini-batch whose parameters are drawn per image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import apply_drawn, draw
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
    for batches in zip(*(draw_epoch(len(labels), sizes, augmentation, rng) for rng in rngs), strict=True):
        losses = train_batch(network, optimiser, images, labels, batches)
        total = total + losses * len(batches[0].index)
    # The one wait for the device in an epoch.
    losses_of_all: list[float] = (total / len(labels)).tolist()
    return losses_of_all


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is drawn for a mini-batch."""

    index: Int64[Tensor, " b"]
    """its images, on the CPU or where the images are"""
    operation: str | None
    """of DSA, or those of a sequential augmentation, as `apply_drawn` takes them; None: no augmentation"""
    uniforms: Float[Tensor, "b u"]
    """what the parameters of that operation are made of, float64, on the CPU or where the images are"""
    masks: Tensor | None = None
    """of dropout, for a network that is given them (`ViT.draw_masks`); None: it draws them, if it has any"""


def draw_epoch(images: int, sizes: Sequence[int], augmentation: str, rng: torch.Generator) -> Iterator[Batch]:
    """The mini-batches of an epoch, on the CPU: a permutation of so many images, split, and DSA for each."""
    for index in torch.randperm(images, generator=rng).split(list(sizes)):
        drawn = draw(augmentation, len(index), rng, shared_operation=True)
        yield Batch(index=index, operation=drawn.shared(), uniforms=drawn.uniforms)


def train_batch(
    network: nn.Module, optimiser: SGD, images: Images, labels: Targets, batches: Sequence[Batch]
) -> Float[Tensor, " e"]:
    """A step along the gradients of a mini-batch for each network of an `Ensemble`, or for a network alone; returns the
    losses, on the device.

    Everything that is random stands in `batches`, so that a CUDA graph can be made of it: what is computed follows from
    their tensors, whose values Python never sees.
    """
    index = _joined([batch.index for batch in batches])
    parts, truths = (_split(each, len(batches)) for each in (images(index), labels[upload(index, labels.device)]))
    inputs = _joined([
        part if batch.operation is None else apply_drawn(part, batch.operation, batch.uniforms)
        for part, batch in zip(parts, batches, strict=True)
    ])  # fmt: skip
    masks = batches[0].masks
    logits = network(inputs) if masks is None else network(inputs, masks)
    losses = [F.cross_entropy(each, truth) for each, truth in zip(_split(logits, len(batches)), truths, strict=True)]
    optimiser.zero_grad()
    sum(losses[1:], losses[0]).backward()
    optimiser.step()
    return _joined([loss.detach().view(1) for loss in losses])


# A single part is the whole, and not copied, not as a gradient either.
def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _split(whole: Tensor, parts: int) -> Sequence[Tensor]:
    return [whole] if parts == 1 else whole.chunk(parts)
