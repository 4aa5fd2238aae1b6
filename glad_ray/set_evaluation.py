"""The evaluation of a set: networks of one architecture, each trained on it from its own initialisation and tested on
real images; those of several repeats one after another, or at once where that is faster.
"""

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.augment import choices
from glad_ray.data import Dataset, by_index, test_subset
from glad_ray.data.dataset import Split
from glad_ray.errors import RunError
from glad_ray.evaluation import accuracy, augmentation_of, begin, train_networks
from glad_ray.gpu_errors import lacks_gpu_memory
from glad_ray.machine import (
    current_device,
    device_name,
    fp32_precision,
    fp32_precision_on,
    peak_memory_bytes,
    reset_peak_memory,
)
from glad_ray.metrics import measured
from glad_ray.networks import build_network, move
from glad_ray.randomness import rng_for
from glad_ray.results import Training
from glad_ray.spec import Evaluation, ExpertSet, Labels, Network, Run, dataset_facts
from glad_ray.spec.images.augmentation import OPERATIONS
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.together import LEAST_EPOCHS, Beginning, lacked_memory, together_is_faster
from glad_ray.training import Images, Targets
from glad_ray.trajectories import Trajectories, class_probabilities, trained_networks


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
    one_kind = evaluation.replace(augmentation=next(iter(choices(augmentation_of(evaluation))), ""))
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
    captured = begin(networks, images, labels, evaluation, 0.0, teachers).captured
    return None if captured is None else Beginning(captured, rngs)


def evaluate_set(training_set: TrainingSet, inputs: Inputs, repeats: Sequence[int]) -> Iterator[Training]:
    """Train one network on a set, and test it on the held-out images, if there are any, and the test images; several
    repeats of that (`repeat_groups`) are trained at once.

    The seconds of each are then an equal share of those of the common training, and those of its own tests; the peak of
    memory is that of all. Where the GPU lacks memory for several at once, or one diverges, they are trained one after
    another. Raises `RunError` at the first that diverges by itself.
    """
    try:
        made = _evaluated(training_set, inputs, repeats)
    except (RunError, RuntimeError) as error:
        short_of_memory = lacks_gpu_memory(error)
        if len(repeats) == 1 or not (short_of_memory or isinstance(error, RunError)):
            raise
    else:
        yield from made
        return
    if short_of_memory:
        lacked_memory(_deciding(training_set, inputs, repeats))
        torch.cuda.empty_cache()
    for repeat in repeats:
        yield from _evaluated(training_set, inputs, [repeat])


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
    list(evaluate_set(training_set, replace(inputs, evaluation=few), at_once))


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
