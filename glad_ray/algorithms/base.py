"""What an algorithm is: images in, the gradient of a matching loss with respect to them out.

An algorithm never sees a generator, and a generator never sees a loss (section 3.4 of the paper).
"""

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float, Int64
from torch import Tensor

SOFT_LABELS = "soft_labels"
"""in an algorithm's state: class probabilities (n, k) that belong to the synthetic set"""


@dataclass(frozen=True)
class Match:
    """The outcome of one step of an algorithm."""

    loss: Float[Tensor, ""]
    image_grads: Float[Tensor, "n c h w"]
    """dL/dS, with respect to normalised images"""
    step_size_grad: Float[Tensor, ""] | None = None
    """dL/dalpha of the student's learned step size (trajectory matching)"""
    moves: Bool[Tensor, ""] | None = None
    """whether this step moves latents and step size, on the device of the loss; None: it does"""


class Algorithm(Protocol):
    """A matching algorithm bound to one run and its real data."""

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """The loss at `step` (counted from 0) and its gradient; every draw follows from the run's id and the step.

        The images are on the run's device, labels and step size on the CPU, where to read them costs nothing.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors that outlive a step and belong in a checkpoint."""
        ...

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        ...
