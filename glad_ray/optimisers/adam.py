"""Adam (Kingma and Ba, 2015, Algorithm 1) and AdamW (Loshchilov and Hutter, 2019, Algorithm 2) as PyTorch does them,
but for rounding: one operation for all parameters of a kind.

Not PyTorch's classes, whose optimisers import its compiler; see `glad_ray.optimisers.sgd`.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_BETAS = (0.9, 0.999)


class Adam:
    """Steps along bias-corrected first moments over the root of second ones; no weight decay. Its whole state can be
    stored and restored.
    """

    def __init__(self, parameters: Mapping[str, Tensor], lr: float, betas: tuple[float, float]) -> None:
        """`parameters`: leaves by name, changed in place; `betas`: decays of the two moments per step, in [0, 1)."""
        self.parameters, self.lr, self.betas = dict(parameters), lr, betas
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
        number = torch.full((), float(self.steps), device=loss.device)
        adam_step(
            parameters,
            list(gradients),
            list(self.first.values()),
            list(self.second.values()),
            [number] * len(parameters),
            rate=self.lr,
            betas=self.betas,
        )


class AdamW:
    """Steps along the gradients that parameters have; those without a gradient stay as they are.

    Decays of the moments are 0.9 and 0.999.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.01, *, decay_vectors: bool = True
    ) -> None:
        """`decay_vectors`: whether parameters of one dimension, biases and those of norms, are decayed too."""
        self.parameters, self.lr = list(parameters), lr
        self.weight_decay, self.decay_vectors = weight_decay, decay_vectors
        self._moments: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients."""
        # Of one kind of numbers at a time, as the kernel takes them.
        of_kinds: dict[tuple[torch.dtype, bool], list[Tensor]] = {}
        for parameter in self.parameters:
            if parameter.grad is not None:
                decayed = self.decay_vectors or parameter.ndim > 1
                of_kinds.setdefault((parameter.dtype, decayed), []).append(parameter)
        for (_, decayed), parameters in of_kinds.items():
            moments = [self._moments_of(parameter) for parameter in parameters]
            first, second, steps = ([each[number] for each in moments] for number in range(3))
            torch._foreach_add_(steps, 1)
            adam_step(
                parameters,
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                first,
                second,
                steps,
                rate=self.lr,
                betas=_BETAS,
                weight_decay=self.weight_decay if decayed else 0.0,
            )

    @torch.no_grad()
    def forget(self) -> None:
        """Set the moments and the number of steps to zero, as those of a new optimiser are."""
        for moments in self._moments.values():
            for each in moments:
                each.zero_()

    def _moments_of(self, parameter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First and second moment, and the number of steps, float32, where the parameter is."""
        if parameter not in self._moments:
            steps = torch.zeros((), device=parameter.device)
            self._moments[parameter] = torch.zeros_like(parameter), torch.zeros_like(parameter), steps
        return self._moments[parameter]


@torch.no_grad()
def adam_step(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    steps: list[Tensor],
    *,
    rate: float,
    betas: tuple[float, float],
    weight_decay: float = 0.0,
) -> None:
    """Change parameters, all of one kind of numbers, and their moments in place; epsilon is 1e-8.

    `steps`: the number of this step, counted from 1, for each parameter, float32, where the parameter is. With weight
    decay it is AdamW: a parameter shrinks by its rate times the decay besides.
    """
    torch._fused_adamw_(
        parameters,
        # On a CPU the kernel goes through memory, whatever the strides are.
        [_laid_out(gradient, parameter) for gradient, parameter in zip(gradients, parameters, strict=True)],
        first,
        second,
        [],
        steps,
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=weight_decay,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """A gradient in memory as its parameter is."""
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
