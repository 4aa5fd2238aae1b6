"""Labels that are learned beside the images, as logits (DATM: Guo et al., ICLR 2024, section 3.3).

They begin as what trained experts say of the initial images, and are moved by SGD with momentum of their own.
"""

from collections.abc import Sequence
from typing import Self

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.algorithms.base import SOFT_LABELS

_LOGITS, _MOMENTA = "label_logits", "label_momenta"


class LearnedLabels:
    """Logits of n images and their momenta."""

    def __init__(self, logits: Float[Tensor, "n k"], momenta: Float[Tensor, "n k"] | None = None) -> None:
        self.logits = logits
        self.momenta = torch.zeros_like(logits) if momenta is None else momenta

    def step(self, grads: Float[Tensor, "n k"], *, lr: float, momentum: float, moves: Tensor | None = None) -> None:
        """A step of SGD; where `moves`, a boolean on their device, is false, nothing changes, which needs no wait for
        the device.
        """
        momenta = momentum * self.momenta + grads
        logits = self.logits - lr * momenta
        if moves is not None:
            momenta, logits = torch.where(moves, momenta, self.momenta), torch.where(moves, logits, self.logits)
        self.momenta, self.logits = momenta, logits

    def state(self) -> dict[str, Tensor]:
        """Logits and momenta, and the class probabilities that belong to the synthetic set."""
        return {_LOGITS: self.logits, _MOMENTA: self.momenta, SOFT_LABELS: self.logits.softmax(1)}

    @classmethod
    def of_state(cls, state: dict[str, Tensor]) -> Self | None:
        """Those of a state, if it has any."""
        return cls(state[_LOGITS], state[_MOMENTA]) if _LOGITS in state else None


def initial_logits(of_experts: Sequence[Float[Tensor, "n k"]], classes: Int64[Tensor, " n"]) -> Float[Tensor, "n k"]:
    """For each image the mean logits of the experts that name its class.

    Where none does, of which the authors' code would make no number, the mean of all, with the logit of its class and
    the largest one exchanged.
    """
    logits = torch.stack(list(of_experts))
    right = (logits.argmax(2) == classes)[:, :, None].to(logits)
    count = right.sum(0)
    of_all = logits.mean(0)
    largest, top = of_all.max(1, keepdim=True)
    own = of_all.gather(1, classes[:, None])
    exchanged = of_all.scatter(1, top, own).scatter(1, classes[:, None], largest)
    return torch.where(count > 0, (right * logits).sum(0) / count.clamp(min=1), exchanged)
