"""K-center greedy takes, one after another, the image that is farthest from those taken (Sener and Savarese, "Active
learning for convolutional neural networks: a core-set approach", ICLR 2018, algorithm 1). That starts from images that
are labelled already; here the first one is the nearest to the mean of the class.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.coresets.candidates import Candidates


def covering_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those that k-center greedy takes."""
    return k_center(candidates.features(), count)


def k_center(features: Float[Tensor, "m d"], count: int) -> Int64[Tensor, " count"]:
    """Indices of `count` different rows, in the order in which they are taken."""
    order = [int((features - features.mean(0)).norm(dim=1).argmin())]
    nearest = (features - features[order[0]]).norm(dim=1)
    for _ in range(count - 1):
        # One that is taken is never again, even where others are the same image.
        nearest[order[-1]] = -1
        order.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (features - features[order[-1]]).norm(dim=1))
    return torch.tensor(order)
