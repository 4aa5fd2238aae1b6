"""A network's parameters as one vector, in registration order: what trajectories store and MTT matches."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.machine import upload, upload_together


def flat_parameters(network: nn.Module) -> Float[Tensor, " p"]:
    """A copy of all parameters as one vector, without a graph."""
    return flat_parameters_of_each(network, 1)[0]


def flat_parameters_of_each(network: nn.Module, networks: int) -> Float[Tensor, "e p"]:
    """The same for each of so many networks that are one `Ensemble`."""
    return torch.cat([parameter.detach().reshape(networks, -1) for parameter in network.parameters()], 1)


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


def move(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move a network from the CPU to `device` and its floating-point numbers to `dtype`, in one upload."""
    network.to(dtype)
    if device.type != "cuda":
        network.to(device)
        return
    held = [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]
    # `data`, since autograd takes a change in place of one view for a change of all views of the same tensor.
    pieces = {id(old): new.data for old, new in zip(held, upload_together(held, device), strict=True)}
    for module in list(network.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(pieces[id(parameter)], parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            piece = pieces.get(id(buffer))
            setattr(module, name, upload(buffer, device) if piece is None else piece)
