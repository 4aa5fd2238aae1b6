"""Gradients that lead to flat minima, as the experts of FTD are trained with: Du et al., "Minimizing the Accumulated
Trajectory Error to Improve Dataset Distillation", CVPR 2023.

They are those of GSAM (Zhuang et al., "Surrogate Gap Minimization Improves Sharpness-Aware Training", 2022) at the
point of adaptive SAM (Kwon et al., "ASAM", 2021). Of a loss L at parameters w, with * and powers value by value and
norms over all parameters of a network:

    g0 = dL/dw at w        e = rho w^2 * g0 / | |w| * g0 |        (not adaptive: rho g0 / |g0|)
    g1 = dL/dw at w + e    g = g1 - alpha (g0 - c |g0| g1 / |g1|),    c = <g0, g1> / (|g0| |g1|)
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_EPS = 1e-12  # beside every norm that is divided by, as in the authors' code


def perturbation(
    parameters: Float[Tensor, "n p"], gradients: Float[Tensor, "n p"], *, rho: float, adaptive: bool
) -> Float[Tensor, "n p"]:
    """The way e of each of n networks to where the loss nearby is highest, to first order."""
    if not adaptive:
        return rho * gradients / (_norm(gradients) + _EPS)
    scaled = parameters * gradients
    return rho * parameters * scaled / (_norm(scaled) + _EPS)


def flat_gradient(clean: Float[Tensor, "n p"], perturbed: Float[Tensor, "n p"], alpha: float) -> Float[Tensor, "n p"]:
    """The gradient g of each of n networks, from g0 (`clean`) and g1 (`perturbed`)."""
    clean_norm, perturbed_norm = _norm(clean), _norm(perturbed)
    cosine = (clean * perturbed).sum(1, keepdim=True) / (clean_norm * perturbed_norm + _EPS)
    along = cosine * clean_norm / (perturbed_norm + _EPS)
    return perturbed - alpha * (clean - along * perturbed)


def set_flat_gradients(
    parameters: Sequence[Tensor],
    networks: int,
    gradients: Callable[[], object],
    *,
    rho: float,
    alpha: float,
    adaptive: bool,
) -> None:
    """Make the gradients of some parameters, which `gradients` has just set, those that lead to flat minima.

    `gradients` is called once more, at w + e; afterwards the parameters are what they were, bit for bit. They are those
    of one network or, where they have the `networks` in front, of several, each of which has norms of its own. Those
    that have no gradient are left as they are. Nothing waits for the device.
    """
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    sizes = [parameter.numel() // networks for parameter in parameters]

    def rows(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.detach().reshape(networks, -1) for tensor in tensors], 1)

    def shaped(values: Tensor) -> list[Tensor]:
        pieces = values.split(sizes, 1)
        return [piece.reshape(parameter.shape) for piece, parameter in zip(pieces, parameters, strict=True)]

    def found() -> list[Tensor]:
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    before, clean = rows(parameters), rows(found())
    held = [parameter.detach() for parameter in parameters]  # to be changed in place, beside autograd
    torch._foreach_add_(held, shaped(perturbation(before, clean, rho=rho, adaptive=adaptive)))
    gradients()
    torch._foreach_copy_(held, shaped(before))
    perturbed = found()
    torch._foreach_copy_(perturbed, shaped(flat_gradient(clean, rows(perturbed), alpha)))


def _norm(rows: Float[Tensor, "n p"]) -> Float[Tensor, "n 1"]:
    return rows.norm(dim=1, keepdim=True)
