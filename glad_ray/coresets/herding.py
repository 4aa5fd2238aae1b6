"""Herding takes, one after another, the image that brings the mean feature of those taken nearest to the mean of the
class (Welling, 2009; Rebuffi et al., "iCaRL", 2017, algorithm 4, whose scaling of features to unit length is left out).
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.coresets.candidates import Candidates


def herded_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those that herding takes."""
    return herding(candidates.features(), count)


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
