"""Images that stand for many: those nearest to the centres of clusters, as DREAM (Liu et al., ICCV 2023) chooses them.

K-means is that of the library its code uses (fast_pytorch_kmeans 0.2.2): plain rounds of Lloyd from rows drawn with
replacement. A cluster that is empty gets the zero vector as its centre. The `KMeans` baseline (glad_ray.coresets) has
scikit-learn's instead, which starts better and four times, and leaves no cluster empty: it is meant to choose well, and
this one to choose what DREAM does, again every few steps, on the device of the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.networks import Classifier

TOLERANCE = 1e-4
"""rounds end where the squared changes of all centres come to no more in sum"""
ROUNDS = 100
"""most rounds"""


@dataclass(frozen=True)
class Clusters:
    """The outcome of k-means."""

    centres: Float[Tensor, "k d"]
    """after the last round"""
    labels: Int64[Tensor, " n"]
    """of the rows: the nearest centre before the last round moved it, the first of equally near ones"""
    rounds: int


def k_means(
    features: Float[Tensor, "n d"], start: Int64[Tensor, " k"], *, tolerance: float = TOLERANCE, rounds: int = ROUNDS
) -> Clusters:
    """Lloyd's algorithm from the rows `start`, which may name a row twice."""
    assert rounds > 0, "or nothing would be assigned"
    centres, number, change = features[start], 0, features.new_tensor(torch.inf)
    while number < rounds and change > tolerance:
        number += 1
        labels = _squared_distances(features, centres).argmin(1)
        members = F.one_hot(labels, len(start)).to(features.dtype)
        # Of an empty cluster 0 / 1.
        moved = members.T @ features / members.sum(0).clamp(min=1)[:, None]
        change = ((moved - centres) ** 2).sum()
        centres = moved
    return Clusters(centres, labels, number)


def nearest_rows(features: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], each: int = 1) -> Int64[Tensor, " m"]:
    """For each centre in turn the `each` rows nearest to it, the nearest first; a row may be named more than once."""
    order = _squared_distances(features, centres).sort(dim=0, stable=True).indices
    return order[:each].T.flatten()


def nearest_of_all(features: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], count: int) -> Int64[Tensor, " m"]:
    """The `count` different rows that are the nearest to their nearest centre, the nearest first."""
    return _squared_distances(features, centres).amin(1).sort(stable=True).indices[:count]


def clustered_rows(
    features: Float[Tensor, "n d"], count: int, rng: torch.Generator, *, each: int = 1
) -> Int64[Tensor, " count"]:
    """DREAM's choice of `count` rows: of count / each clusters (rounded up) the `each` rows nearest to each centre."""
    clusters = -(-count // each)
    start = torch.randint(len(features), (clusters,), generator=rng).to(features.device)
    return nearest_rows(features, k_means(features, start).centres, each)[:count].cpu()


@torch.no_grad()
def features_of(
    network: Classifier,
    images: Callable[[Int64[Tensor, " b"]], Float[Tensor, "b c h w"]],
    members: Int64[Tensor, " n"],
    at_once: int,
) -> Float[Tensor, "n d"]:
    """Features (before the last layer) of some images, given by their indices; `at_once` of them go through the network
    at a time.
    """
    dtype = next(network.parameters()).dtype
    return torch.cat([network.embed(images(part).to(dtype)) for part in members.split(at_once)])


def _squared_distances(features: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    products = features @ centres.T
    return (features**2).sum(1, keepdim=True) - 2 * products + (centres**2).sum(1)
