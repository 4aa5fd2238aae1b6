"""How near two clouds of features lie: precision and recall, and the Frechet distance; on the CPU in float64."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

NEIGHBOURS = 3


def covered(
    points: Float[Tensor, "n d"], cloud: Float[Tensor, "m d"], neighbours: int = NEIGHBOURS
) -> Bool[Tensor, " n"]:
    """Which points lie within a ball around some member of a cloud that reaches to the member's `neighbours`-th nearest
    other member (Kynkäänniemi et al., 2019, equation 1); of a cloud with fewer others, to the farthest.
    """
    reach = min(neighbours, len(cloud) - 1)
    # The smallest distance is that of a member from itself.
    radii = torch.cdist(cloud, cloud).kthvalue(reach + 1, dim=1).values
    return (torch.cdist(points, cloud) <= radii).any(dim=1)


def precision_and_recall(made: Float[Tensor, "n d"], real: Float[Tensor, "m d"]) -> tuple[float, float]:
    """The share of made points that the real cloud covers, and of real points that the made one covers (equation 2)."""
    return float(covered(made, real).double().mean()), float(covered(real, made).double().mean())


def frechet_distance(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of means and covariances (Dowson and Landau, 1982; Heusel et al.,
    2017, equation 6). Each cloud has two points or more.
    """
    difference = (one.mean(dim=0) - other.mean(dim=0)).square().sum()
    first, second = torch.cov(one.T), torch.cov(other.T)
    # The trace of the root of C1 C2 is that of the symmetric root(C1) C2 root(C1), whose eigenvalues are the same.
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    return float((difference + first.trace() + second.trace() - 2 * shared).clamp(min=0))
