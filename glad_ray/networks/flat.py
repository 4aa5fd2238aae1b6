"""A network's parameters as one vector, in registration order: what trajectories store and MTT matches."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def flat_parameters(network: nn.Module) -> Float[Tensor, " p"]:
    """A copy of all parameters as one vector, without a graph."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def split_parameters(network: nn.Module, flat: Float[Tensor, " p"]) -> dict[str, Tensor]:
    """Views of a flat vector, by parameter name and in its shape, as `torch.func.functional_call` takes them.

    Differentiable in `flat`; `network` only gives names and shapes.
    """
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    pieces = flat.split([math.prod(shape) for shape in shapes.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


@torch.no_grad()
def load_flat_parameters(network: nn.Module, flat: Float[Tensor, " p"]) -> None:
    """Copy a flat vector into a network's parameters."""
    pieces = split_parameters(network, flat)
    for name, parameter in network.named_parameters():
        parameter.copy_(pieces[name])
