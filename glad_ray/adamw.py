"""AdamW (Loshchilov and Hutter, 2019) as `torch.optim.AdamW` does it, but for rounding: one operation for all
parameters of a kind.

Not PyTorch's, whose optimisers import its compiler; see `glad_ray.sgd`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class AdamW:
    """Steps along bias-corrected moments, beside which parameters shrink by the rate times `weight_decay`; those
    without a gradient stay as they are.

    Decays of the moments are 0.9 and 0.999, epsilon is 1e-8.
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
            torch._fused_adamw_(
                parameters,
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                first,
                second,
                [],
                steps,
                lr=self.lr,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                weight_decay=self.weight_decay if decayed else 0.0,
                eps=_EPSILON,
                amsgrad=False,
                maximize=False,
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
