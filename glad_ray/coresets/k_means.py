"""K-means takes the image nearest to the centre of each cluster."""

import torch
from jaxtyping import Float, Int64
from threadpoolctl import threadpool_limits
from torch import Tensor

from glad_ray.coresets.candidates import Candidates

_RESTARTS = 4


def central_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those nearest to the centres of clusters."""
    return k_means(candidates.features(), count, rng)


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
