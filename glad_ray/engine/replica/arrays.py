"""Tensors as the arrays that cross between processes, and back; neither way copies what lies on a CPU."""

import warnings

import torch
from torch import Tensor

from glad_ray.engine.replica.calls import Array, Arrays
from glad_ray.generators import Latents

# Arrays from Ray's shared memory are read-only, and PyTorch has no such tensors: nothing here writes into any.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def array_of(values: Tensor) -> Array:
    """The values of a tensor."""
    return values.detach().cpu().numpy()


def arrays_of(latents: Latents) -> Arrays:
    """The values of latents."""
    return {kind: array_of(value) for kind, value in latents.items()}


def tensor_of(values: Array) -> Tensor:
    """A tensor over the memory of an array, only to be read."""
    return torch.from_numpy(values)
