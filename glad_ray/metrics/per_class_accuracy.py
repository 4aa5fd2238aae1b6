"""Accuracy class by class."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.networks import batch_sizes

_BATCH = 256


@torch.no_grad()
def per_class_accuracy(
    network: nn.Module, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"]
) -> dict[str, float]:
    """Of each class, by its number, the share of its images whose class the network names, in [0, 1]."""
    sizes = batch_sizes(network, lambda: images[:1], len(images), _BATCH)
    named = torch.cat([network(part).argmax(1) for part in images.split(sizes)])
    right = (named == labels).double()
    return {str(int(label)): float(right[labels == label].mean()) for label in labels.unique()}
