"""Gradients of tensors along a direction, in a process that needs no SymPy for them on a CPU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from glad_ray import machine


def vector_jacobian(
    outputs: Tensor, direction: Tensor, inputs: Sequence[Tensor], *, unused_as_zero: bool = False
) -> tuple[Tensor, ...]:
    """The gradients of <outputs, direction> with respect to each input, the direction taken as constant; both have the
    same shape and type.

    `unused_as_zero`: an input that `outputs` does not depend on has the gradient 0, instead of `RuntimeError`.
    """
    along: Tensor | None = None
    if machine.few_operations_are_fast(outputs.device):
        along = direction
    else:
        # The same bits; where PyTorch is given a direction it imports SymPy, a second of CPU time for each process.
        outputs = (outputs * direction.detach()).sum()
    gradients: tuple[Tensor, ...] = torch.autograd.grad(
        outputs, tuple(inputs), along, allow_unused=unused_as_zero, materialize_grads=unused_as_zero
    )
    return gradients
