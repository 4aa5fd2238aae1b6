"""Adam (Kingma and Ba, 2015, Algorithm 1), whose whole state can be stored and restored, and AdamW's step.

Not PyTorch's, whose optimisers import its compiler; see `glad_ray.sgd`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Adam:
    """Steps along bias-corrected first moments over the root of second ones; no weight decay."""

    def __init__(
        self, parameters: Mapping[str, Tensor], lr: float, betas: tuple[float, float], epsilon: float = 1e-8
    ) -> None:
        """`parameters`: leaves by name, changed in place; `betas`: decays of the two moments per step, in [0, 1)."""
        self.parameters, self.lr, self.betas, self.epsilon = dict(parameters), lr, betas, epsilon
        self.first = {name: torch.zeros_like(value, requires_grad=False) for name, value in parameters.items()}
        self.second = {name: torch.zeros_like(value, requires_grad=False) for name, value in parameters.items()}
        self.steps = torch.zeros((), dtype=torch.int64)

    def tensors(self) -> dict[str, Tensor]:
        """All that it carries from step to step, by name; the tensors themselves, not copies."""
        first = {f"first/{name}": value for name, value in self.first.items()}
        return first | {f"second/{name}": value for name, value in self.second.items()} | {"steps": self.steps}

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of a loss, on which every parameter must bear."""
        parameters = list(self.parameters.values())
        gradients = torch.autograd.grad(loss, parameters)
        self.steps += 1
        adam_step(
            parameters,
            list(gradients),
            list(self.first.values()),
            list(self.second.values()),
            int(self.steps),
            rates=[self.lr] * len(parameters),
            betas=self.betas,
            epsilon=self.epsilon,
        )


@torch.no_grad()
def adam_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    number: int,
    *,
    rates: Sequence[float],
    betas: tuple[float, float],
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Change parameters and their moments in place by the step of this number, counted from 1, each parameter with a
    learning rate of its own.

    With weight decay it is AdamW (Loshchilov and Hutter, 2019, Algorithm 2): before its step a parameter is shrunk by
    its rate times the decay.
    """
    if weight_decay:
        torch._foreach_mul_(parameters, [1 - rate * weight_decay for rate in rates])
    torch._foreach_lerp_(first, gradients, 1 - betas[0])
    torch._foreach_mul_(second, betas[1])
    torch._foreach_addcmul_(second, gradients, gradients, 1 - betas[1])
    of_first, of_second = (1 - beta**number for beta in betas)
    roots = torch._foreach_sqrt(second)
    torch._foreach_div_(roots, of_second**0.5)
    torch._foreach_add_(roots, epsilon)
    torch._foreach_addcdiv_(parameters, first, roots, [-rate / of_first for rate in rates])
