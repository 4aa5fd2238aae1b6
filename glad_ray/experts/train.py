"""Training experts, one at a time or several as a batched ensemble; as the code of MTT does, with DSA.

Every draw of an expert follows from its set's id and its index. So those of an ensemble are what each would be alone,
but for the order of sums: in float32 they drift apart as two machines' would.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.data import Dataset, by_index
from glad_ray.errors import RunError
from glad_ray.experts.files import parameter_shapes, write_trajectory
from glad_ray.machine import fp32_precision
from glad_ray.networks import Classifier, Ensemble, build_network, flat_parameters_of_each, fuse
from glad_ray.optimisers.sgd import SGD
from glad_ray.randomness import rng_for
from glad_ray.results import missing_experts
from glad_ray.spec import ExpertSet
from glad_ray.storage import Storage
from glad_ray.training import Extras, train_epoch_together


def missing_groups(storage: Storage, expert_set: ExpertSet, together: int) -> list[list[int]]:
    """Indices of the experts that are not on storage yet, in `groups`."""
    return groups(missing_experts(storage, expert_set), expert_set, together)


def groups(indices: Sequence[int], expert_set: ExpertSet, together: int) -> list[list[int]]:
    """Experts in groups of at most `together` that can be trained as one; each by itself where the network draws in
    training.
    """
    size = 1 if expert_set.network.architecture.dropout else together
    return [list(indices[start : start + size]) for start in range(0, len(indices), size)]


def train_experts(
    expert_set: ExpertSet,
    indices: Sequence[int],
    dataset: Dataset,
    storage: Storage,
    *,
    device: str,
    on_epoch: Callable[[int, int], None],
) -> None:
    """Train some experts of a set, several as one ensemble, and write each one's trajectory whole.

    `on_epoch` is told an expert and the epochs it has been trained for. Raises `RunError` if a loss is not finite.
    """
    snapshots, losses, where = [], [], torch.device(device)
    with fp32_precision(expert_set.experts.precision, where):
        for epoch, (snapshot, loss) in enumerate(_epochs(expert_set, indices, dataset, where)):
            snapshots.append(snapshot)
            losses.append(loss)
            for index in indices if epoch else ():
                on_epoch(index, epoch)
    shapes = parameter_shapes(_begun(expert_set, indices[0], dataset))
    for number, index in enumerate(indices):
        own = ((snapshot[number].numpy(), loss[number]) for snapshot, loss in zip(snapshots, losses, strict=True))
        write_trajectory(storage, expert_set, index, shapes, own)


def try_expert_epoch(expert_set: ExpertSet, indices: Sequence[int], dataset: Dataset, device: torch.device) -> None:
    """Train some experts for one epoch and keep nothing: for the memory that takes."""
    epochs = _epochs(expert_set, indices, dataset, device)
    with fp32_precision(expert_set.experts.precision, device):
        for _ in range(2):
            next(epochs)


def _epochs(
    expert_set: ExpertSet, indices: Sequence[int], dataset: Dataset, target: torch.device
) -> Iterator[tuple[Float[Tensor, "e p"], list[float]]]:
    """Flat parameters and the loss of each of some experts: before their training (NaN), and after
    every epoch. Raises `RunError` if a loss is not finite.
    """
    settings, identity = expert_set.experts, expert_set.stored_id
    networks = [_begun(expert_set, index, dataset).to(target) for index in indices]
    for each in networks:
        fuse(each)
    # One by itself is not batched, which would only take it longer.
    network = networks[0] if len(networks) == 1 else Ensemble(networks)
    images = by_index(dataset.train_images, dataset, target)
    labels = torch.tensor(dataset.train_labels, device=target)
    optimiser = SGD(network.parameters(), settings.lr, settings.momentum, settings.weight_decay)
    yield flat_parameters_of_each(network, len(indices)).cpu(), [math.nan] * len(indices)
    for epoch in range(settings.last_epoch):
        optimiser.lr = settings.lr_in(epoch)
        losses = train_epoch_together(
            network,
            optimiser,
            images,
            labels,
            batch_size=settings.batch_size,
            augmentation=settings.augmentation,
            rngs=[rng_for(identity, "expert epoch", index, epoch) for index in indices],
            extras=Extras(mixing=settings.mixing, flat=settings.flat),
        )
        for index, loss in zip(indices, losses, strict=True):
            if not math.isfinite(loss):
                raise RunError(f"the loss of expert {index} is {loss} in epoch {epoch}: lower the experts' lr")
        yield flat_parameters_of_each(network, len(indices)).cpu(), losses


def _begun(expert_set: ExpertSet, index: int, dataset: Dataset) -> Classifier:
    """An expert before its training."""
    return build_network(
        expert_set.network,
        channels=dataset.train_images.shape[1],
        resolution=dataset.train_images.shape[-1],
        classes=len(dataset.class_names),
        rng=rng_for(expert_set.stored_id, "expert network", index),
    )
