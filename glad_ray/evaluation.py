"""Evaluation: networks trained from scratch on a synthetic set, tested on real images (paper, section 4.1).

The protocol as the paper's code executes it: SGD with momentum and weight decay, half the epochs linear warm-up, half
cosine, DSA drawn per mini-batch, weights averaged once per epoch, the averaged network tested once at the end.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.adamw import AdamW
from glad_ray.averages import AveragedWeights
from glad_ray.captured import EPOCHS_UNREAD, CapturedTraining, can_be_captured
from glad_ray.data import Dataset, by_index, test_subset
from glad_ray.data.dataset import Split
from glad_ray.errors import RunError, UserError
from glad_ray.machine import (
    current_device,
    device_name,
    fp32_precision,
    fp32_precision_on,
    peak_memory_bytes,
    reset_peak_memory,
    upload,
)
from glad_ray.metrics import measured
from glad_ray.networks import batch_sizes, build_network, fuse, move
from glad_ray.randomness import rng_for
from glad_ray.results import (
    Training,
)
from glad_ray.sgd import SGD
from glad_ray.spec import Evaluation, ExpertSet, Labels, Network, Run, Schedule, dataset_facts
from glad_ray.spec.augmentation import OPERATIONS
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.teaching import Teacher
from glad_ray.training import PLAIN, Extras, Images, Targets, train_epoch
from glad_ray.trajectories import Trajectories, class_probabilities, trained_networks

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
    augmentation = evaluation.augmentation
    if augmentation is None:
        raise UserError("This evaluation takes the augmentation of a run: give it one, or an empty text for none.")
    fuse(network)
    get = _getter(images)
    optimiser, extras = _optimiser(network, evaluation, lr), _extras(evaluation, teachers)
    averages = AveragedWeights(network)
    with current_device(labels.device):
        captured = None
        # Graphs are made of plain steps of SGD alone.
        if extras == PLAIN and isinstance(optimiser, SGD) and can_be_captured(images, network):
            captured = CapturedTraining(
                network,
                optimiser,
                averages,
                images,
                labels,
                batch_size=evaluation.batch_size,
                augmentation=augmentation,
            )
        before = lr
        for epoch in range(evaluation.epochs):
            rate = lr * learning_rate_factor(epoch, evaluation.epochs, evaluation.schedule)
            weight = 1 - ema_decay(epoch + 1, evaluation.ema_decay)
            if evaluation.schedule == "step" and rate < before:
                # The originals go on with a new optimiser.
                optimiser.forget()
            before = rate
            if captured is not None:
                captured.epoch(rate, weight, rng)
                if captured.unread == EPOCHS_UNREAD or epoch == evaluation.epochs - 1:
                    _assert_finite(captured.read_losses(), epoch)
                continue
            optimiser.lr = rate
            loss = train_epoch(
                network,
                optimiser,
                get,
                labels,
                batch_size=evaluation.batch_size,
                augmentation=augmentation,
                rng=rng,
                extras=extras,
            )
            _assert_finite([loss], epoch)
            averages.update(weight)
    return averages.network


def _optimiser(network: nn.Module, evaluation: Evaluation, lr: float) -> SGD | AdamW:
    parameters, decay = network.parameters(), evaluation.weight_decay
    if evaluation.optimiser == "adamw":
        return AdamW(parameters, lr, decay, decay_vectors=evaluation.decay_vectors)
    return SGD(parameters, lr, evaluation.momentum, decay)


def _extras(evaluation: Evaluation, teachers: Sequence[nn.Module]) -> Extras:
    teacher = Teacher(teachers, evaluation.temperature, evaluation.temperature_squared) if teachers else None
    return Extras(views=evaluation.views, mixing=evaluation.mixing, teacher=teacher, seen_twice=evaluation.seen_twice)


def _assert_finite(losses: Sequence[float], last: int) -> None:
    """Raise `RunError` if a loss of the epochs up to `last` is not finite."""
    for epoch, loss in enumerate(losses, start=last + 1 - len(losses)):
        if not math.isfinite(loss):
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


@dataclass(frozen=True)
class TrainingSet:
    """What networks are trained on."""

    images: Tensor | Images
    """normalised, or a function that gives them by index"""
    labels: Targets
    step: int
    """of the distillation"""
    step_size: float | None = None
    """the learned step size, if there is one"""
    teachers: Sequence[nn.Module] = ()
    """networks that teach at every step in place of the labels"""


@dataclass(frozen=True)
class Inputs:
    """What networks are scored with, and where."""

    identity: str
    """from which the draws follow, beside network, step and repeat"""
    evaluation: Evaluation
    """decided for a run (`Evaluation.decided_for`)"""
    network: Network
    dataset: Dataset
    device: torch.device


def evaluate_set(training_set: TrainingSet, inputs: Inputs, repeat: int) -> Training:
    """Train one network on a set, and test it on the held-out images, if there are any, and the test images."""
    evaluation, dataset, device = inputs.evaluation, inputs.dataset, inputs.device
    started = time.monotonic()
    reset_peak_memory(device)
    lr = evaluation.learning_rate(inputs.network)
    if evaluation.learned_step_size and training_set.step_size is not None:
        lr = training_set.step_size
    held_out = None
    with fp32_precision(evaluation.precision, device):
        averaged = trained(training_set, inputs, lr, repeat)
        if len(dataset.held_out_labels):
            held_out = accuracy_on(averaged, held_out_images(dataset), inputs)
        test = test_subset(dataset, evaluation.test_images)
        score = accuracy_on(averaged, test, inputs)
        metrics = measured(evaluation.metrics, averaged, test, dataset, device)
    return Training(
        step=training_set.step,
        network=inputs.network.key,
        repeat=repeat,
        accuracy=score,
        held_out_accuracy=held_out,
        learning_rate=lr,
        seconds=time.monotonic() - started,
        peak_memory_bytes=peak_memory_bytes(device),
        device=device_name(device),
        precision=fp32_precision_on(device, evaluation.precision),
        metrics=metrics,
    )


def trained(training_set: TrainingSet, inputs: Inputs, lr: float, repeat: int) -> nn.Module:
    """A network trained on a set from a fresh initialisation, as `train_network` does."""
    network, dataset = inputs.network, inputs.dataset
    rng = rng_for(inputs.identity, f"evaluate {network.key}", training_set.step, repeat)
    module = build_network(
        network,
        channels=dataset.train_images.shape[1],
        resolution=dataset.train_images.shape[-1],
        classes=len(dataset.class_names),
        rng=rng,
    )
    move(module, inputs.device, torch.float32)
    return train_network(
        module,
        training_set.images,
        training_set.labels,
        inputs.evaluation,
        lr=lr,
        rng=rng,
        teachers=training_set.teachers,
    )


def accuracy_on(network: nn.Module, split: Split, inputs: Inputs) -> float:
    """Accuracy of a network on real images, in [0, 1]."""
    images = by_index(split.images, inputs.dataset, inputs.device)
    return accuracy(network, images, torch.tensor(split.labels, device=inputs.device))


def held_out_images(dataset: Dataset) -> Split:
    """The training images that no run was distilled from."""
    return Split(dataset.held_out_images, dataset.held_out_labels)


def try_epoch(run: Run, evaluation: Evaluation, network: Network, dataset: Dataset, device: torch.device) -> None:
    """Train a network for few epochs on a set of a run's size, test it, and keep nothing: for the memory that takes."""
    if run.ipc is None:
        training_set = whole_dataset(dataset, device)
    else:
        labels = torch.arange(len(dataset.class_names), device=device).repeat_interleave(run.training_images_per_class)
        images = torch.zeros(len(labels), *dataset.train_images.shape[1:], device=device)
        asked = evaluation.labels_of(run) == "online"
        teachers = _stand_ins(run.experts_of(evaluation.teacher), images) if asked else ()
        training_set = TrainingSet(images, labels, step=0, teachers=teachers)
    # Some more where the second mini-batch of a kind is made a graph: most kinds come up twice.
    decided = evaluation.decided_for(run).replace(epochs=1 if run.ipc is None else 2 * len(OPERATIONS) + 1)
    evaluate_set(training_set, Inputs(run.run_id, decided, network, dataset, device), 0)


def _stand_ins(teachers: ExpertSet, images: Float[Tensor, "n c h w"]) -> tuple[nn.Module, ...]:
    """Untrained networks of the size of the teachers."""
    return tuple(
        build_network(
            teachers.network,
            channels=images.shape[1],
            resolution=images.shape[-1],
            classes=dataset_facts(teachers.dataset).classes,
            rng=torch.Generator().manual_seed(number),
        )
        .to(images)
        .eval()
        for number in range(teachers.experts.count)
    )


def training_set_of(
    synthetic: SyntheticSet, labels: Labels, teachers: Trajectories | None, device: torch.device
) -> TrainingSet:
    """A synthetic set on a device, with the labels that are trained on."""
    images, step, step_size = synthetic.images.to(device), synthetic.step, synthetic.step_size
    match labels:
        case "hard":
            taught: Tensor = synthetic.labels
        case "own":
            assert synthetic.soft_labels is not None, "the run's record says so"
            taught = synthetic.soft_labels
        case "teacher":
            assert teachers is not None, "the plan trains the teachers a run needs"
            with fp32_precision("float32", device):
                taught = class_probabilities(teachers, images)
        case "online":
            assert teachers is not None, "the plan trains the teachers a run needs"
            networks = trained_networks(teachers, images)
            return TrainingSet(images, synthetic.labels.to(device), step, step_size, networks)
    return TrainingSet(images, taught.to(device), step, step_size)


def whole_dataset(dataset: Dataset, device: torch.device) -> TrainingSet:
    """The real training images, to be trained on."""
    labels = torch.tensor(dataset.train_labels, device=device)
    return TrainingSet(by_index(dataset.train_images, dataset, device), labels, step=0)
