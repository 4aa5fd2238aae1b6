"""One epoch of training a classifier, the same for experts, evaluation and DC's inner loop.

As the paper's code does it: shuffled mini-batches, the last partial one kept (see `batch_sizes` for one of a single
image), mean cross-entropy, and DSA with one operation per mini-batch whose parameters are drawn per image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import (
    Mix,
    View,
    apply_chosen,
    apply_drawn,
    draw,
    draw_mix,
    draw_views,
    mix_images,
    mixed_cross_entropy,
    view_images,
)
from glad_ray.flat_minima import set_flat_gradients
from glad_ray.machine import upload
from glad_ray.networks import Ensemble, batch_sizes
from glad_ray.spec.experts import Flatness
from glad_ray.spec.images.augmentation import Mixing, Views
from glad_ray.teaching import Teacher

Images = Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]]
"""Normalised images, on the device of the labels, by their indices, which are on the CPU."""
Targets = Int64[Tensor, " n"] | Float[Tensor, "n k"]
"""Classes, or class probabilities."""


class Optimiser(Protocol):
    """What makes a step along the gradients of parameters."""

    def zero_grad(self) -> None:
        """Forget all gradients."""
        ...

    def step(self) -> None:
        """One step along the gradients."""
        ...


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What a training has that the plain one has not."""

    views: Views | None = None
    """of every image, before DSA"""
    mixing: Mixing | None = None
    """of the images of a mini-batch, after DSA"""
    teacher: Teacher | None = None
    """whose loss takes the place of that of the labels"""
    flat: Flatness | None = None
    """every step leads towards flat minima, by two passes"""
    seen_twice: bool = False
    """whether a mini-batch goes through the network once more, without gradients and not mixed by MixUp: statistics of
    batch norm move twice, as in the code of RDED"""


PLAIN = Extras()


def train_epoch(
    network: nn.Module,
    optimiser: Optimiser,
    images: Images,
    labels: Targets,
    *,
    batch_size: int,
    augmentation: str,
    rng: torch.Generator,
    extras: Extras = PLAIN,
) -> float:
    """Train for one epoch and return the mean loss; `images` gives normalised images by index, labels are classes or
    class probabilities.

    Shuffling and augmentation are drawn from `rng`, on the CPU. Raises `UserError` for a single image in a network that
    cannot take one.
    """
    (loss,) = train_epoch_together(
        network, optimiser, images, labels, batch_size=batch_size, augmentation=augmentation, rngs=[rng], extras=extras
    )
    return loss


def train_epoch_together(
    network: nn.Module,
    optimiser: Optimiser,
    images: Images,
    labels: Targets,
    *,
    batch_size: int,
    augmentation: str,
    rngs: Sequence[torch.Generator],
    extras: Extras = PLAIN,
) -> list[float]:
    """The same for the networks of an `Ensemble`, with the mean loss of each: a batch is a mini-batch for every one of
    them, each drawn from an `rngs` of its own.
    """
    network.train()
    total = torch.zeros(len(rngs), device=labels.device)
    first = torch.zeros(len(rngs), dtype=torch.int64, device="cpu")
    sizes = batch_sizes(network, lambda: images(first), len(labels), batch_size)
    # The size of the images, which what is drawn for them needs.
    side = images(first).shape[-1] if extras.views or extras.mixing else None
    epochs = [draw_epoch(len(labels), sizes, augmentation, rng, extras, side) for rng in rngs]
    for batches in zip(*epochs, strict=True):
        losses = train_batch(network, optimiser, images, labels, batches, extras)
        total = total + losses * len(batches[0].index)
    # The one wait for the device in an epoch.
    losses_of_all: list[float] = (total / len(labels)).tolist()
    return losses_of_all


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is drawn for a mini-batch, of one network or of all those of an `Ensemble`, one after another."""

    index: Int64[Tensor, " b"]
    """its images, on the CPU or where the images are"""
    operation: str | None
    """of DSA, or those of a sequential augmentation, as `apply_drawn` takes them; None: no augmentation"""
    chosen: Int64[Tensor, " b"] | None = None
    """where images have operations of their own: which of `choices` each has, and `operation` is the augmentation"""
    uniforms: Float[Tensor, "b u"]
    """what the parameters of that operation are made of, float64, on the CPU or where the images are"""
    masks: Tensor | None = None
    """of dropout, for a network that is given them (`ViT.draw_masks`); None: it draws them, if it has any"""
    views: Sequence[View] | None = None
    """one for each image; None: they are seen as they are"""
    mix: Mix | None = None
    """None: images are not mixed"""


def draw_epoch(
    images: int,
    sizes: Sequence[int],
    augmentation: str,
    rng: torch.Generator,
    extras: Extras = PLAIN,
    side: int | None = None,
) -> Iterator[Batch]:
    """The mini-batches of an epoch, on the CPU: a permutation of so many images, split, and for each what is drawn.

    Views and mixing need the `side` of the images in pixels.
    """
    for index in torch.randperm(images, generator=rng).split(list(sizes)):
        drawn = draw(augmentation, len(index), rng, shared_operation=True)
        views = mix = None
        if extras.views is not None and side is not None:
            views = draw_views(extras.views, len(index), side, side, rng)
        if extras.mixing is not None and side is not None:
            mix = draw_mix(extras.mixing, len(index), side, side, rng)
        yield Batch(index=index, operation=drawn.shared(), uniforms=drawn.uniforms, views=views, mix=mix)


def train_batch(
    network: nn.Module,
    optimiser: Optimiser,
    images: Images,
    labels: Targets,
    batches: Sequence[Batch],
    extras: Extras = PLAIN,
) -> Float[Tensor, " e"]:
    """A step along the gradients of a mini-batch for each network of an `Ensemble`, or for a network alone; returns the
    losses, on the device: those of the first pass, where there are two.

    Everything that is random stands in `batches`, so that a CUDA graph can be made of it: what is computed follows from
    their tensors, whose values Python never sees.
    """
    networks = network.count if isinstance(network, Ensemble) else 1
    index = _joined([batch.index for batch in batches])
    found, truths = images(index), labels[upload(index, labels.device)]
    augmented = [_augmented(part, batch) for part, batch in zip(_split(found, len(batches)), batches, strict=True)]
    seen = [mix_images(part, batch.mix) for part, batch in zip(augmented, batches, strict=True)]
    inputs = _joined(seen)
    if extras.seen_twice:
        # CutMix changes images in place there, MixUp does not.
        once_more = [
            mixed if _pasted(batch) else own for own, mixed, batch in zip(augmented, seen, batches, strict=True)
        ]
        with torch.no_grad():
            network(_joined(once_more))
    masks = batches[0].masks

    def gradients() -> Tensor:
        logits = network(inputs) if masks is None else network(inputs, masks)
        if extras.teacher is not None:
            each = zip(_split(logits, networks), _split(inputs, networks), strict=True)
            losses = _stacked([extras.teacher.loss(said, part) for said, part in each])
        elif any(batch.mix is not None for batch in batches):
            mixed = zip(_split(logits, networks), _split(truths, networks), batches, strict=True)
            losses = _stacked([mixed_cross_entropy(said, truth, batch.mix) for said, truth, batch in mixed])
        elif networks == 1:
            losses = F.cross_entropy(logits, truths).view(1)
        else:
            losses = F.cross_entropy(logits, truths, reduction="none").view(networks, -1).mean(1)
        optimiser.zero_grad()
        # With a gradient of the losses given, PyTorch would import its compiler.
        (losses.view(()) if networks == 1 else losses.sum()).backward()
        return losses.detach()

    losses = gradients()
    if extras.flat is not None:
        set_flat_gradients(list(network.parameters()), networks, gradients, **extras.flat.model_dump())
    optimiser.step()
    return losses


def _augmented(images: Float[Tensor, "b c h w"], batch: Batch) -> Float[Tensor, "b c h w"]:
    """Images as the network is given them, but for mixing."""
    if batch.views is not None:
        images = view_images(images, batch.views)
    if batch.operation is None:
        return images
    if batch.chosen is not None:
        return apply_chosen(images, batch.operation, batch.chosen, batch.uniforms)
    return apply_drawn(images, batch.operation, batch.uniforms)


def _pasted(batch: Batch) -> bool:
    return batch.mix is not None and batch.mix.box is not None


# A single part is the whole, and not copied, not as a gradient either.
def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].view(1) if len(parts) == 1 else torch.stack(list(parts))


def _split(whole: Tensor, parts: int) -> Sequence[Tensor]:
    return [whole] if parts == 1 else whole.chunk(parts)
