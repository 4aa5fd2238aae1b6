"""Adam (Kingma and Ba, 2015, Algorithm 1), whose whole state can be stored and restored.

Not PyTorch's, whose optimisers import its compiler; see `glad_ray.sgd`.
"""

from collections.abc import Mapping

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

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """One step down the gradient of a loss, on which every parameter must bear."""
        parameters = list(self.parameters.values())
        gradients = torch.autograd.grad(loss, parameters)
        self.steps += 1
        first, second = list(self.first.values()), list(self.second.values())
        torch._foreach_lerp_(first, gradients, 1 - self.betas[0])
        torch._foreach_mul_(second, self.betas[1])
        torch._foreach_addcmul_(second, gradients, gradients, 1 - self.betas[1])
        of_first, of_second = (1 - beta ** int(self.steps) for beta in self.betas)
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, of_second**0.5)
        torch._foreach_add_(roots, self.epsilon)
        torch._foreach_addcdiv_(parameters, first, roots, -self.lr / of_first)
