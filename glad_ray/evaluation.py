"""Evaluation: networks trained from scratch on a synthetic set, tested on real images (paper, section 4.1).

The protocol as the paper's code executes it: SGD with momentum and weight decay, half the epochs linear warm-up, half
cosine, DSA drawn per mini-batch, weights averaged once per epoch, the averaged network tested once at the end.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.averages import AveragedWeights
from glad_ray.captured import EPOCHS_UNREAD, CapturedTraining, can_be_captured
from glad_ray.errors import RunError, UserError
from glad_ray.machine import (
    current_device,
    upload,
)
from glad_ray.networks import Ensemble, batch_sizes, fuse
from glad_ray.optimisers.adam import AdamW
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import Evaluation, Schedule
from glad_ray.teaching import Teacher
from glad_ray.training import PLAIN, Extras, Images, Targets, train_epoch_together

_TEST_BATCH = 256


def learning_rate_factor(epoch: int, epochs: int, schedule: Schedule = "cosine") -> float:
    """Share of the base learning rate used in `epoch` (counted from 0) of `epochs`.

    `cosine`: linear from 1e-7 to 1 over the first half, which reaches one epoch into the second; then half a cosine
    that ends just above 0. This is the code's schedule; the paper says 500 epochs of each. `step`: 1, and 0.1 from two
    epochs after the half on, as the code of DC, DM and MTT has it. `slow-cosine`: half a cosine over twice the epochs,
    as RDED has it; `halving`: half after each fifth of the epochs, as NCFM has it; `fifths`: a fifth after two thirds
    and after five sixths of the epochs, as IDC has it.
    """
    half = max(1, epochs // 2)
    match schedule:
        case "step":
            return 1.0 if epoch <= half + 1 else 0.1
        case "slow-cosine":
            return 0.5 * (1 + math.cos(math.pi * epoch / (2 * epochs)))
        case "halving":
            return 0.5 ** sum(epoch >= fifth * epochs // 5 for fifth in range(1, 5))
        case "fifths":
            return 0.2 ** sum(epoch >= end for end in (2 * epochs // 3, 5 * epochs // 6))
        case "cosine":
            if epoch <= half:
                return 1e-7 + (1 - 1e-7) * epoch / half
            return 0.5 * (1 + math.cos(math.pi * (epoch - half - 1) / half))


def ema_decay(update: int, decay: float) -> float:
    """Decay of the averaged weights at `update` (counted from 1): 0, 1/2, 2/3, ... up to `decay`."""
    return min(decay, 1 - 1 / update)


def train_network(
    network: nn.Module,
    images: Float[Tensor, "n c h w"] | Images,
    labels: Targets,
    evaluation: Evaluation,
    *,
    lr: float,
    rng: torch.Generator,
    teachers: Sequence[nn.Module] = (),
) -> nn.Module:
    """Train `network` in place on normalised images and return the network of averaged weights.

    `images` may be a function that gives them by index; labels are classes or class probabilities; `lr` is the base
    rate. With `teachers`, networks in evaluation mode where the labels are, these teach at every step in place of the
    labels. Raises `RunError` if the loss is not finite, `UserError` if the evaluation leaves its augmentation open.
    """
    (averaged,) = train_networks([network], images, labels, evaluation, lr=lr, rngs=[rng], teachers=teachers)
    return averaged


def train_networks(
    networks: Sequence[nn.Module],
    images: Float[Tensor, "n c h w"] | Images,
    labels: Targets,
    evaluation: Evaluation,
    *,
    lr: float,
    rngs: Sequence[torch.Generator],
    teachers: Sequence[nn.Module] = (),
) -> list[nn.Module]:
    """The same for several networks of one architecture, trained together as an `Ensemble`, each with draws from an
    `rngs` of its own: all come to what each would come to by itself, but for rounding. Several are not changed.
    """
    network, optimiser, averages, extras, captured = begin(networks, images, labels, evaluation, lr, teachers)
    get, before = _getter(images), lr
    with current_device(labels.device):
        for epoch in range(evaluation.epochs):
            rate = lr * learning_rate_factor(epoch, evaluation.epochs, evaluation.schedule)
            weight = 1 - ema_decay(epoch + 1, evaluation.ema_decay)
            if evaluation.schedule == "step" and rate < before:
                # The originals go on with a new optimiser.
                optimiser.forget()
            before = rate
            if captured is not None:
                captured.epoch(rate, weight, rngs)
                if captured.unread == EPOCHS_UNREAD or epoch == evaluation.epochs - 1:
                    _assert_finite(captured.read_losses(), epoch)
                continue
            optimiser.lr = rate
            losses = train_epoch_together(
                network,
                optimiser,
                get,
                labels,
                batch_size=evaluation.batch_size,
                augmentation=augmentation_of(evaluation),
                rngs=rngs,
                extras=extras,
            )
            _assert_finite([losses], epoch)
            averages.update(weight)
    averaged = averages.network
    return averaged.networks() if isinstance(averaged, Ensemble) else [averaged]


class Begun(NamedTuple):
    """A training before its first epoch."""

    network: nn.Module
    """one, or an `Ensemble` of several"""
    optimiser: SGD | AdamW
    averages: AveragedWeights
    extras: Extras
    captured: CapturedTraining | None
    """where graphs can be made of it"""


def begin(
    networks: Sequence[nn.Module],
    images: Float[Tensor, "n c h w"] | Images,
    labels: Targets,
    evaluation: Evaluation,
    lr: float,
    teachers: Sequence[nn.Module],
) -> Begun:
    """What `train_networks` begins with, on the device of the labels."""
    augmentation = augmentation_of(evaluation)
    for each in networks:
        fuse(each)
    # One by itself is not batched, which would only take it longer.
    network = networks[0] if len(networks) == 1 else Ensemble(networks)
    optimiser, extras = _optimiser(network, evaluation, lr), _extras(evaluation, teachers)
    averages, captured = AveragedWeights(network), None
    # Graphs are made of plain steps of SGD alone.
    if extras == PLAIN and isinstance(optimiser, SGD) and can_be_captured(images, networks[0]):
        with current_device(labels.device):
            captured = CapturedTraining(
                network,
                optimiser,
                averages,
                images,
                labels,
                batch_size=evaluation.batch_size,
                augmentation=augmentation,
            )
    return Begun(network, optimiser, averages, extras, captured)


def augmentation_of(evaluation: Evaluation) -> str:
    """Of its trainings; raises `UserError` if it is left to the run."""
    if evaluation.augmentation is None:
        raise UserError("This evaluation takes the augmentation of a run: give it one, or an empty text for none.")
    return evaluation.augmentation


def _optimiser(network: nn.Module, evaluation: Evaluation, lr: float) -> SGD | AdamW:
    parameters, decay = network.parameters(), evaluation.weight_decay
    if evaluation.optimiser == "adamw":
        return AdamW(parameters, lr, decay, decay_vectors=evaluation.decay_vectors)
    return SGD(parameters, lr, evaluation.momentum, decay)


def _extras(evaluation: Evaluation, teachers: Sequence[nn.Module]) -> Extras:
    teacher = Teacher(teachers, evaluation.temperature, evaluation.temperature_squared) if teachers else None
    return Extras(views=evaluation.views, mixing=evaluation.mixing, teacher=teacher, seen_twice=evaluation.seen_twice)


def _assert_finite(losses: Sequence[Sequence[float]], last: int) -> None:
    """Raise `RunError` if a loss of the epochs up to `last`, of any of the networks, is not finite."""
    for epoch, of_networks in enumerate(losses, start=last + 1 - len(losses)):
        for loss in (each for each in of_networks if not math.isfinite(each)):
            raise RunError(f"the training loss is {loss} in epoch {epoch} of the evaluation: lower its learning rate")


def _getter(images: Float[Tensor, "n c h w"] | Images) -> Images:
    return images if callable(images) else lambda index: images[upload(index, images.device)]


@torch.no_grad()
def accuracy(network: nn.Module, images: Float[Tensor, "n c h w"] | Images, labels: Int64[Tensor, " n"]) -> float:
    """Share of images (normalised, or a function that gives them by index) whose class the network names, in [0, 1]."""
    network.eval()
    get = _getter(images)
    order = torch.arange(len(labels), device="cpu")
    sizes = batch_sizes(network, lambda: get(order[:1]), len(order), _TEST_BATCH)
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    for index, truth in zip(order.split(sizes), labels.split(sizes), strict=True):
        correct += (network(get(index)).argmax(1) == truth).sum()
    # The one wait for the device.
    return int(correct) / len(labels)
