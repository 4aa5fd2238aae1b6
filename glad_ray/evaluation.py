"""Evaluation: networks trained from scratch on a synthetic set, tested on real images (paper, section 4.1).

The protocol as the paper's code executes it: SGD with momentum and weight decay, half the epochs linear warm-up, half
cosine, DSA drawn per mini-batch, weights averaged once per epoch, the averaged network tested once at the end.
"""

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import choices
from glad_ray.averages import AveragedWeights
from glad_ray.captured import EPOCHS_UNREAD, CapturedTraining, can_be_captured
from glad_ray.data import Dataset, by_index, test_subset
from glad_ray.data.dataset import Split
from glad_ray.errors import RunError, UserError
from glad_ray.gpu_errors import lacks_gpu_memory
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
from glad_ray.networks import Ensemble, batch_sizes, build_network, fuse, move
from glad_ray.optimisers.adam import AdamW
from glad_ray.optimisers.sgd import SGD
from glad_ray.randomness import rng_for
from glad_ray.results import (
    Training,
)
from glad_ray.spec import Evaluation, ExpertSet, Labels, Network, Run, Schedule, dataset_facts
from glad_ray.spec.images.augmentation import OPERATIONS
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.teaching import Teacher
from glad_ray.together import LEAST_EPOCHS, Beginning, lacked_memory, together_is_faster
from glad_ray.training import PLAIN, Extras, Images, Targets, train_epoch_together
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
    network, optimiser, averages, extras, captured = _begin(networks, images, labels, evaluation, lr, teachers)
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
                augmentation=_augmentation(evaluation),
                rngs=rngs,
                extras=extras,
            )
            _assert_finite([losses], epoch)
            averages.update(weight)
    averaged = averages.network
    return averaged.networks() if isinstance(averaged, Ensemble) else [averaged]


class _Begun(NamedTuple):
    """A training before its first epoch."""

    network: nn.Module
    """one, or an `Ensemble` of several"""
    optimiser: SGD | AdamW
    averages: AveragedWeights
    extras: Extras
    captured: CapturedTraining | None
    """where graphs can be made of it"""


def _begin(
    networks: Sequence[nn.Module],
    images: Float[Tensor, "n c h w"] | Images,
    labels: Targets,
    evaluation: Evaluation,
    lr: float,
    teachers: Sequence[nn.Module],
) -> _Begun:
    augmentation = _augmentation(evaluation)
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
    return _Begun(network, optimiser, averages, extras, captured)


def _augmentation(evaluation: Evaluation) -> str:
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


def repeat_groups(training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]) -> list[list[int]]:
    """Repeats that are trained at once: all of them, where that was measured to be faster on this GPU, else each by
    itself. On a CPU, and wherever no CUDA graphs are made of a training, it is each by itself.
    """
    evaluation, images = inputs.evaluation, training_set.images
    on_gpu = isinstance(images, Tensor) and images.device.type == "cuda"
    if len(repeats) < 2 or evaluation.epochs < LEAST_EPOCHS or not on_gpu:
        return [[repeat] for repeat in repeats]
    # With one operation of the augmentation one has a single kind of mini-batch, as several together have with all.
    one_kind = evaluation.replace(augmentation=next(iter(choices(_augmentation(evaluation))), ""))
    with fp32_precision(evaluation.precision, inputs.device), current_device(inputs.device):
        faster = together_is_faster(
            _deciding(training_set, inputs, repeats),
            partial(_beginning, training_set, inputs, one_kind, repeats[:1]),
            partial(_beginning, training_set, inputs, evaluation, repeats),
            len(repeats),
        )
    return [list(repeats)] if faster else [[repeat] for repeat in repeats]


def _deciding(training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]) -> Hashable:
    """What decides whether repeats are faster together."""
    assert isinstance(training_set.images, Tensor), "others are not made of graphs"
    evaluation, labels = inputs.evaluation, training_set.labels
    sizes = training_set.images.shape, labels.shape, evaluation.batch_size, len(repeats)
    return inputs.network.key, sizes, evaluation.augmentation, evaluation.precision, inputs.device


def _beginning(
    training_set: TrainingSet, inputs: Inputs, evaluation: Evaluation, repeats: Sequence[int]
) -> Beginning | None:
    """A training of repeats to be measured; None if no graphs are made of it."""
    networks, rngs = _built(training_set, inputs, repeats)
    images, labels, teachers = training_set.images, training_set.labels, training_set.teachers
    captured = _begin(networks, images, labels, evaluation, 0.0, teachers).captured
    return None if captured is None else Beginning(captured, rngs)


def evaluate_set(training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]) -> list[Training]:
    """Train one network on a set, and test it on the held-out images, if there are any, and the test images; several
    repeats of that (`repeat_groups`) are trained at once.

    The seconds of each are then an equal share of those of the common training, and those of its own tests; the peak of
    memory is that of all. Where the GPU lacks memory for several at once, they are trained one after another.
    """
    try:
        return _evaluated(training_set, inputs, repeats)
    except RuntimeError as error:
        if len(repeats) == 1 or not lacks_gpu_memory(error):
            raise
    lacked_memory(_deciding(training_set, inputs, repeats))
    torch.cuda.empty_cache()
    return [training for repeat in repeats for training in _evaluated(training_set, inputs, [repeat])]


def _evaluated(training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]) -> list[Training]:
    evaluation, dataset, device = inputs.evaluation, inputs.dataset, inputs.device
    began = time.monotonic()
    reset_peak_memory(device)
    lr = evaluation.learning_rate(inputs.network)
    if evaluation.learned_step_size and training_set.step_size is not None:
        lr = training_set.step_size
    trainings = []
    with fp32_precision(evaluation.precision, device):
        networks = trained(training_set, inputs, lr, repeats)
        test = test_subset(dataset, evaluation.test_images)
        tests_began = time.monotonic()
        share = (tests_began - began) / len(repeats)
        for repeat, averaged in zip(repeats, networks, strict=True):
            held_out = None
            if len(dataset.held_out_labels):
                held_out = accuracy_on(averaged, held_out_images(dataset), inputs)
            score = accuracy_on(averaged, test, inputs)
            metrics = measured(evaluation.metrics, averaged, test, dataset, device)
            ended = time.monotonic()
            trainings.append(
                Training(
                    step=training_set.step,
                    network=inputs.network.key,
                    repeat=repeat,
                    accuracy=score,
                    held_out_accuracy=held_out,
                    learning_rate=lr,
                    seconds=share + ended - tests_began,
                    peak_memory_bytes=peak_memory_bytes(device),
                    device=device_name(device),
                    precision=fp32_precision_on(device, evaluation.precision),
                    metrics=metrics,
                )
            )
            tests_began = ended
    return trainings


def trained(training_set: TrainingSet, inputs: Inputs, lr: float, repeats: Sequence[int]) -> list[nn.Module]:
    """Networks trained on a set, each from a fresh initialisation of its repeat, at once, as `train_networks` does."""
    networks, rngs = _built(training_set, inputs, repeats)
    images, labels, teachers = training_set.images, training_set.labels, training_set.teachers
    return train_networks(networks, images, labels, inputs.evaluation, lr=lr, rngs=rngs, teachers=teachers)


def _built(
    training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]
) -> tuple[list[nn.Module], list[torch.Generator]]:
    """The networks of repeats before their training, and the generators of what they draw in it."""
    network, dataset = inputs.network, inputs.dataset
    identity, purpose = inputs.identity, f"evaluate {network.key}"
    rngs = [rng_for(identity, purpose, training_set.step, repeat) for repeat in repeats]
    networks: list[nn.Module] = [
        build_network(
            network,
            channels=dataset.train_images.shape[1],
            resolution=dataset.train_images.shape[-1],
            classes=len(dataset.class_names),
            rng=rng,
        )
        for rng in rngs
    ]
    for module in networks:
        move(module, inputs.device, torch.float32)
    return networks, rngs


def accuracy_on(network: nn.Module, split: Split, inputs: Inputs) -> float:
    """Accuracy of a network on real images, in [0, 1]."""
    images = by_index(split.images, inputs.dataset, inputs.device)
    return accuracy(network, images, torch.tensor(split.labels, device=inputs.device))


def held_out_images(dataset: Dataset) -> Split:
    """The training images that no run was distilled from."""
    return Split(dataset.held_out_images, dataset.held_out_labels)


def try_epoch(run: Run, evaluation: Evaluation, network: Network, dataset: Dataset, device: torch.device) -> None:
    """Train the repeats of a network that are trained at once for few epochs, on a set of a run's size, test them and
    keep nothing: for the memory that takes.
    """
    if run.ipc is None:
        training_set = whole_dataset(dataset, device)
    else:
        labels = torch.arange(len(dataset.class_names), device=device).repeat_interleave(run.training_images_per_class)
        images = torch.zeros(len(labels), *dataset.train_images.shape[1:], device=device)
        asked = evaluation.labels_of(run) == "online"
        teachers = _stand_ins(run.experts_of(evaluation.teacher), images) if asked else ()
        training_set = TrainingSet(images, labels, step=0, teachers=teachers)
    inputs = Inputs(run.run_id, evaluation.decided_for(run), network, dataset, device)
    at_once = repeat_groups(training_set, inputs, range(evaluation.repeats))[0]
    # Some more where the second mini-batch of a kind is made a graph: most kinds come up twice.
    few = inputs.evaluation.replace(epochs=1 if run.ipc is None else 2 * len(OPERATIONS) + 1)
    evaluate_set(training_set, replace(inputs, evaluation=few), at_once)


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
