"""Coresets: real images chosen from each class, the baselines of every table.

Herding takes, one after another, the image that brings the mean feature of those taken nearest to the mean of the class
(Welling, 2009; Rebuffi et al., "iCaRL", 2017, algorithm 4, whose scaling of features to unit length is left out).
K-means takes the image nearest to the centre of each cluster.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from threadpoolctl import threadpool_limits
from torch import Tensor

from glad_ray.data import Dataset, network_inputs
from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.spec import Run
from glad_ray.trajectories import Trajectories, features

_RESTARTS = 4
_IMAGES_AT_ONCE = 1024


def choose_images(
    run: Run, dataset: Dataset, trajectories: Trajectories | None, rng: torch.Generator, device: torch.device
) -> Float[Tensor, "n c h w"]:
    """The real images of a baseline as networks see them, class after class, none of them twice; on the CPU.

    Raises `UserError` if a class has fewer images than are asked for.
    """
    chosen = []
    for name, members in zip(dataset.class_names, dataset.class_indices, strict=True):
        if len(members) < run.images_per_class:
            raise UserError(
                f"Class {name!r} of {dataset.name} has {len(members)} training images, and images_per_class is "
                f"{run.images_per_class}: use {len(members)} or fewer."
            )
        order = _order(run, dataset, members, trajectories, rng, device)
        chosen.append(members[order.numpy()])
    return network_inputs(dataset.train_images[np.concatenate(chosen)], dataset)


def _order(
    run: Run,
    dataset: Dataset,
    members: Int64[np.ndarray, " m"],
    trajectories: Trajectories | None,
    rng: torch.Generator,
    device: torch.device,
) -> Int64[Tensor, " n"]:
    """Which of a class's images are taken."""
    choose = import_callable(run.algorithm.implementation, "Baseline", "a choice of images")
    candidates = Candidates(len(members), partial(_features, dataset, members, trajectories, device))
    return cast("Tensor", choose(candidates, run.images_per_class, rng))


class Candidates(NamedTuple):
    """The images of a class, `number` of them."""

    number: int
    features: Callable[[], Float[Tensor, "m d"]]


def random_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Some by chance."""
    return torch.randperm(candidates.number, generator=rng)[:count]


def herded_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those that herding takes."""
    return herding(candidates.features(), count)


def central_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those nearest to the centres of clusters."""
    return k_means(candidates.features(), count, rng)


def herding(features: Float[Tensor, "m d"], count: int) -> Int64[Tensor, " count"]:
    """Indices of `count` different rows, in the order in which herding takes them."""
    mean = features.mean(0)
    taken = torch.zeros(len(features), dtype=torch.bool)
    total = torch.zeros_like(mean)
    order = []
    for number in range(1, count + 1):
        distances = ((total + features) / number - mean).norm(dim=1)
        distances[taken] = torch.inf
        index = int(distances.argmin())
        taken[index] = True
        total += features[index]
        order.append(index)
    return torch.tensor(order)


def k_means(features: Float[Tensor, "m d"], count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Index of the row nearest to the centre of each of `count` clusters, ascending; the best of a few restarts."""
    seed = int(torch.randint(2**31, (), generator=rng))
    # With more threads the order of sums would depend on the machine.
    # Imported late, for it takes longer to load than PyTorch, in every process.
    from sklearn.cluster import KMeans as ScikitKMeans

    with threadpool_limits(1):
        clusters = ScikitKMeans(count, n_init=_RESTARTS, random_state=seed).fit(features.numpy())
    centres = torch.from_numpy(clusters.cluster_centers_)
    labels = torch.from_numpy(clusters.labels_).long()
    distances = (features - centres[labels]).norm(dim=1)
    nearest = []
    for cluster in range(count):
        rows = (labels == cluster).nonzero().flatten()
        nearest.append(int(rows[distances[rows].argmin()]))
    return torch.tensor(sorted(nearest))


def _features(
    dataset: Dataset, members: Int64[np.ndarray, " m"], trajectories: Trajectories | None, device: torch.device
) -> Float[Tensor, "m d"]:
    """Features of a class's images in float64: those of trained networks, or the pixels that these would
    see.
    """
    of_chunks = []
    for start in range(0, len(members), _IMAGES_AT_ONCE):
        chunk = dataset.train_images[members[start : start + _IMAGES_AT_ONCE]]
        images = network_inputs(chunk, dataset)
        of_chunks.append(images.flatten(1) if trajectories is None else features(trajectories, images.to(device)).cpu())
    return torch.cat(of_chunks).double()
