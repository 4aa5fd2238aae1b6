"""Stochastic gradient descent as `torch.optim.SGD` does it, but for rounding: one operation for all parameters.

PyTorch's optimisers import its compiler when the first is made, which takes every process that trains over a second of
its CPU and some hundred MiB.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class SGD:
    """With momentum (no dampening, not Nesterov's) and weight decay; parameters without a gradient stay as they are.

    As a tensor, on the device of the parameters (on a GPU: float32), the learning rate `lr` may be another one whenever
    a CUDA graph of a step is replayed.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float | Tensor, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.parameters, self.lr = list(parameters), lr
        self.momentum, self.weight_decay = momentum, weight_decay
        self._velocities: dict[Tensor, Tensor] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients."""
        # Of one kind of numbers at a time, as the kernel takes them.
        of_kinds: dict[torch.dtype, list[Tensor]] = {}
        for parameter in self.parameters:
            if parameter.grad is not None:
                of_kinds.setdefault(parameter.dtype, []).append(parameter)
        for parameters in of_kinds.values():
            torch._fused_sgd_(
                parameters,
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                [self._velocity(parameter) for parameter in parameters] if self.momentum else [],
                weight_decay=self.weight_decay,
                momentum=self.momentum,
                lr=self.lr,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )

    @torch.no_grad()
    def forget(self) -> None:
        """Set the momenta to zero, as those of a new optimiser are."""
        for velocity in self._velocities.values():
            velocity.zero_()

    def momenta(self) -> list[Tensor]:
        """Those of parameters that had a gradient."""
        return list(self._velocities.values())

    @torch.no_grad()
    def load_momenta(self, momenta: Iterable[Tensor]) -> None:
        """Take those of all parameters, in their order."""
        for parameter, momentum in zip(self.parameters, momenta, strict=True):
            self._velocity(parameter).copy_(momentum)

    def _velocity(self, parameter: Tensor) -> Tensor:
        if parameter not in self._velocities:
            self._velocities[parameter] = torch.zeros_like(parameter)
        return self._velocities[parameter]
