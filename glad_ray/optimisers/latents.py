"""Steps on latents: the optimisers that a run's algorithm may name, what they carry from step to step, and when their
rates are halved.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from glad_ray.generators import Latents
from glad_ray.optimisers.adam import adam_step
from glad_ray.spec.optimisers import SGD, AdamW, AnyOptimiser

_LOWER = 1e-4
"""by so much of itself the lowest loss has to fall to count as lower"""
_FACTOR = 0.5


@dataclass
class Moments:
    """What an optimiser carries from step to step."""

    first: Latents
    """momenta of SGD, mean gradients of AdamW"""
    second: Latents = field(default_factory=dict)
    """mean squared gradients of AdamW; empty for SGD"""
    steps: int = 0
    """steps made"""

    @classmethod
    def new(cls, optimiser: AnyOptimiser, latents: Latents) -> "Moments":
        """Those of an optimiser that has made no step."""
        first, second = ({name: torch.zeros_like(value) for name, value in latents.items()} for _ in range(2))
        return cls(first, second if isinstance(optimiser, AdamW) else {})

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, as a checkpoint has it."""
        second = {f"second_moments/{name}": value for name, value in self.second.items()}
        steps = {"optimiser_steps": torch.tensor(self.steps)} if self.second else {}
        return {f"momenta/{name}": value for name, value in self.first.items()} | second | steps

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], device: torch.device) -> "Moments":
        """From what `tensors` gave, among others; raises `KeyError` where a part is missing."""

        def group(prefix: str) -> Latents:
            return {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}

        second = group("second_moments/")
        return cls(group("momenta/"), second, int(tensors["optimiser_steps"]) if second else 0)


@torch.no_grad()
def step_latents(
    optimiser: AnyOptimiser, rates: Mapping[str, float], latents: Latents, gradients: Latents, moments: Moments
) -> None:
    """Make one step along gradients of all latents; latents and moments are changed in place.

    `rates`: learning rates by kind of latent. The steps are those of `torch.optim.SGD` and `torch.optim.AdamW`.
    """
    moments.steps += 1
    match optimiser:
        case SGD(momentum=momentum, weight_decay=decay):
            for name, gradient in gradients.items():
                decayed = gradient.add(latents[name], alpha=decay) if decay else gradient
                moments.first[name].mul_(momentum).add_(decayed)
                latents[name].sub_(moments.first[name], alpha=rates[name])
        case AdamW(betas=betas, weight_decay=decay):
            for name, gradient in gradients.items():
                adam_step(
                    [latents[name]],
                    [gradient],
                    [moments.first[name]],
                    [moments.second[name]],
                    [torch.full((), float(moments.steps), device=gradient.device)],
                    rate=rates[name],
                    betas=betas,
                    weight_decay=decay,
                )


class Plateau:
    """Halves rates when the loss has not become lower for long: the rule of PyTorch's `ReduceLROnPlateau` with factor
    0.5, without its least change of 1e-8.

    It follows from the losses alone, so that no checkpoint needs it.
    """

    def __init__(self, patience: int | None, losses: Iterable[float] = ()) -> None:
        """`losses` are those of the iterations made so far."""
        self.patience, self.factor = patience, 1.0
        self._lowest, self._since = math.inf, 0
        for loss in losses:
            self.see(loss)

    def see(self, loss: float) -> None:
        """Take notice of the loss of the next iteration."""
        if self.patience is None:
            return
        if loss < self._lowest * (1 - _LOWER):
            self._lowest, self._since = loss, 0
            return
        self._since += 1
        if self._since > self.patience:
            self.factor, self._since = self.factor * _FACTOR, 0
