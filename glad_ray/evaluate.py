"""Evaluation: networks trained from scratch on a synthetic set, tested on real images (paper, section 4.1).

The protocol as the paper's code executes it: SGD with momentum and weight decay, half the epochs linear warm-up, half
cosine, DSA drawn per mini-batch, weights averaged once per epoch, the averaged network tested once at the end.
"""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.data import Dataset, load_dataset, normalise, test_subset
from glad_ray.errors import DataError, RunError
from glad_ray.machine import device_name, peak_memory_bytes, reset_peak_memory
from glad_ray.networks import build_network
from glad_ray.randomness import rng_for
from glad_ray.results import Training, read_distillation, read_trainings, write_results, write_trainings
from glad_ray.spec import Evaluation, Network, Run
from glad_ray.storage import Storage
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.training import train_epoch

_TEST_BATCH = 256


def learning_rate_factor(epoch: int, epochs: int) -> float:
    """Share of the base learning rate used in `epoch` (counted from 0) of `epochs`.

    Linear from 1e-7 to 1 over the first half, which reaches one epoch into the second; then half a cosine that ends
    just above 0. This is the code's schedule; the paper says 500 epochs of each.
    """
    half = max(1, epochs // 2)
    if epoch <= half:
        return 1e-7 + (1 - 1e-7) * epoch / half
    return 0.5 * (1 + math.cos(math.pi * (epoch - half - 1) / half))


def ema_decay(update: int, decay: float) -> float:
    """Decay of the averaged weights at `update` (counted from 1): 0, 1/2, 2/3, ... up to `decay`."""
    return min(decay, 1 - 1 / update)


def train_network(
    network: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    evaluation: Evaluation,
    *,
    lr: float,
    rng: torch.Generator,
) -> nn.Module:
    """Train `network` in place on normalised images and return the network of averaged weights.

    Raises `RunError` if the loss is not finite.
    """
    optimiser = torch.optim.SGD(
        network.parameters(), lr=lr, momentum=evaluation.momentum, weight_decay=evaluation.weight_decay
    )
    averaged = deepcopy(network).requires_grad_(False)
    online, average = (list(module.state_dict().values()) for module in (network, averaged))
    for epoch in range(evaluation.epochs):
        for group in optimiser.param_groups:
            group["lr"] = lr * learning_rate_factor(epoch, evaluation.epochs)
        loss = train_epoch(
            network,
            optimiser,
            lambda batch: images[batch],
            labels,
            batch_size=evaluation.batch_size,
            augmentation=evaluation.augmentation,
            rng=rng,
        )
        if not math.isfinite(loss):
            raise RunError(f"the training loss is {loss} in epoch {epoch} of the evaluation: lower its learning rate")
        with torch.no_grad():
            weight = 1 - ema_decay(epoch + 1, evaluation.ema_decay)
            for mean, value in zip(average, online, strict=True):
                mean.lerp_(value, weight) if mean.is_floating_point() else mean.copy_(value)
    return averaged


@torch.no_grad()
def accuracy(network: nn.Module, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"]) -> float:
    """Share of images (normalised) whose class the network names, in [0, 1]."""
    network.eval()
    correct = sum(
        int((network(chunk).argmax(1) == truth).sum())
        for chunk, truth in zip(images.split(_TEST_BATCH), labels.split(_TEST_BATCH), strict=True)
    )
    return correct / len(labels)


def evaluate_set(
    synthetic: SyntheticSet,
    identity: str,
    evaluation: Evaluation,
    network: Network,
    dataset: Dataset,
    repeat: int,
    device: torch.device,
) -> Training:
    """Train one network on a synthetic set and test it; draws follow from `identity`, network, step and repeat."""
    started = time.monotonic()
    reset_peak_memory(device)
    rng = rng_for(identity, f"evaluate {network.key}", synthetic.step, repeat)
    module = build_network(
        network,
        channels=synthetic.images.shape[1],
        resolution=synthetic.images.shape[-1],
        classes=len(synthetic.class_names),
        rng=rng,
    ).to(device)
    averaged = train_network(
        module,
        synthetic.images.to(device),
        synthetic.labels.to(device),
        evaluation,
        lr=evaluation.learning_rates[network.name],
        rng=rng,
    )

    def test(images: Tensor, labels: Tensor) -> float:
        return accuracy(averaged, normalise(images.to(device), synthetic.mean, synthetic.std), labels.to(device))

    held_out = None
    if len(dataset.held_out_labels):
        held_out = test(torch.tensor(dataset.held_out_images), torch.tensor(dataset.held_out_labels))
    return Training(
        step=synthetic.step,
        network=network.key,
        repeat=repeat,
        accuracy=test(*test_subset(dataset, evaluation.test_images)),
        held_out_accuracy=held_out,
        seconds=time.monotonic() - started,
        peak_memory_bytes=peak_memory_bytes(device),
        device=device_name(device),
    )


def evaluate_network(
    run: Run,
    evaluation: Evaluation,
    network: Network,
    dataset: Dataset,
    storage: Storage,
    *,
    device: str,
    on_training: Callable[[Training], None],
) -> list[Training]:
    """Score every kept snapshot of a run with one network; what is on storage already is not trained again."""
    evaluation_id = evaluation.content_id
    trainings = read_trainings(storage, run.run_id, evaluation_id, network.key)
    done = {(training.step, training.repeat) for training in trainings}
    for step in run.snapshot_steps:
        missing = [repeat for repeat in range(evaluation.repeats) if (step, repeat) not in done]
        if not missing:
            continue
        path = storage.set_path(run.run_id, step)
        synthetic = SyntheticSet.from_bytes(storage.read_bytes(path), path)
        for repeat in missing:
            training = evaluate_set(synthetic, run.run_id, evaluation, network, dataset, repeat, torch.device(device))
            trainings.append(training)
            write_trainings(storage, run.run_id, evaluation_id, network.key, trainings)
            on_training(training)
    return trainings


def finish_run(sweep_name: str, run: Run, evaluation: Evaluation, storage: Storage) -> None:
    """Write the rows of a run whose networks have all been trained."""
    trainings = {
        network.key: read_trainings(storage, run.run_id, evaluation.content_id, network.key)
        for network in evaluation.networks
    }
    write_results(storage, run, evaluation, sweep_name, trainings, read_distillation(storage, run.run_id))


def evaluate_file(path: Path, evaluation: Evaluation, *, device: str) -> Iterator[tuple[Network, list[Training]]]:
    """Score the synthetic set in a file with every network of an evaluation; raises `DataError` if it is damaged."""
    try:
        synthetic = SyntheticSet.from_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): name a synthetic_set.safetensors file.") from error
    run = Run.model_validate_json(synthetic.run)
    dataset = load_dataset(run.dataset, resolution=run.pixels)
    for network in evaluation.networks:
        yield (
            network,
            [
                evaluate_set(synthetic, run.run_id, evaluation, network, dataset, repeat, torch.device(device))
                for repeat in range(evaluation.repeats)
            ],
        )
