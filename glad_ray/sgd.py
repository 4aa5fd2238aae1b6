"""Stochastic gradient descent as `torch.optim.SGD` does it, to the bit.

PyTorch's optimisers import its compiler when the first is made, which takes every process that trains over a second of
its CPU and some hundred MiB.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class SGD:
    """With momentum (no dampening, not Nesterov's) and weight decay; parameters without a gradient stay as they are."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0
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
        pairs = [(parameter, parameter.grad) for parameter in self.parameters if parameter.grad is not None]
        if not pairs:
            return
        parameters, steps = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if self.weight_decay:
            steps = list(torch._foreach_add(steps, parameters, alpha=self.weight_decay))
        if self.momentum:
            for parameter in parameters:
                if parameter not in self._velocities:
                    self._velocities[parameter] = torch.zeros_like(parameter)
            velocities = [self._velocities[parameter] for parameter in parameters]
            torch._foreach_mul_(velocities, self.momentum)
            torch._foreach_add_(velocities, steps)
            steps = velocities
        torch._foreach_add_(parameters, steps, alpha=-self.lr)
