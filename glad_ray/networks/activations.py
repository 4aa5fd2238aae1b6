"""What a backward pass through a network keeps in memory of each image: counted on tensors without storage."""

import functools

import torch
from torch import Tensor

from glad_ray.networks.build import build_network_without_storage
from glad_ray.spec import Network

_IMAGES = 2


@functools.lru_cache(maxsize=32)
def activation_bytes(spec: Network, *, channels: int, resolution: int, classes: int) -> int:
    """Bytes in float32 that one image leaves in a network of ours for its backward pass, at most: a map that two
    operations keep counts twice.
    """
    network = build_network_without_storage(spec, channels=channels, resolution=resolution, classes=classes).eval()
    kept = 0

    def count(tensor: Tensor) -> None:
        # Nothing is kept of it: where an operation keeps its own result, PyTorch would never free the two.
        nonlocal kept
        if tensor.shape[:1] == (_IMAGES,):
            kept += tensor.numel() * tensor.element_size()

    with torch.autograd.graph.saved_tensors_hooks(count, _never_differentiated):
        network(torch.empty(_IMAGES, channels, resolution, resolution, device="meta"))
    return kept // _IMAGES


def _never_differentiated(kept: None) -> Tensor:
    raise AssertionError("the graph is measured only")
