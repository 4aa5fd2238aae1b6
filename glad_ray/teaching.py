"""Soft labels that a teacher gives at every step, to each mini-batch as it is trained on (Hinton et al., 2015; for
synthetic sets Yin et al., "SRe2L", 2023, and Sun et al., "RDED", 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def divergence(
    logits: Float[Tensor, "n k"], probabilities: Float[Tensor, "n k"], temperature: float, *, scaled: bool = False
) -> Float[Tensor, ""]:
    """Mean over images of KL(p || q) of the teacher's `probabilities` p and the student's q = softmax(logits / T).

    `scaled`: times T^2, as Hinton et al. have it, which keeps the size of gradients when T changes; RDED leaves it out.
    """
    loss = F.kl_div((logits / temperature).log_softmax(1), probabilities, reduction="batchmean")
    return loss * temperature**2 if scaled else loss


@dataclass(frozen=True, eq=False)
class Teacher:
    """Trained networks that say what a student should say of the images it is given."""

    networks: Sequence[nn.Module]
    """in evaluation mode, on the device of the images"""
    temperature: float
    """T, by which logits of teacher and student are divided"""
    scaled: bool = False
    """whether the loss is multiplied by T^2"""

    @torch.no_grad()
    def probabilities(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Mean softmax(logits / T) of the networks, for images as the student sees them."""
        outputs = [(network(images) / self.temperature).softmax(1) for network in self.networks]
        return torch.stack(outputs).mean(0)

    def loss(self, logits: Float[Tensor, "n k"], images: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """Of a student that gives these logits to these images."""
        return divergence(logits, self.probabilities(images), self.temperature, scaled=self.scaled)
