"""EL2N scores an image by how wrong networks are about it early in their training: the length of the difference between
their class probabilities and the class, on average over the networks (Paul et al., "Deep learning on a data diet",
NeurIPS 2021, definition 4.1). The images with the largest scores, the hard ones, are taken, as there.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.coresets.candidates import Candidates
from glad_ray.spec.algorithms.el2n import EL2N


def scored_images(candidates: Candidates, count: int, rng: torch.Generator) -> Int64[Tensor, " count"]:
    """Those with the largest scores, or the smallest where the settings say so."""
    assert isinstance(candidates.settings, EL2N), "whose baseline this is"
    scores = torch.cat([_scores_of(images, candidates) for images in candidates.inputs()])
    return scores.argsort(descending=candidates.settings.take == "hardest", stable=True)[:count]


def error_norms(probabilities: Float[Tensor, "e n k"], label: int) -> Float[Tensor, " n"]:
    """Scores of images of a class by the class probabilities that e networks give them: from 0 to the root of 2."""
    truth = F.one_hot(torch.tensor(label, device=probabilities.device), probabilities.shape[-1])
    return (probabilities - truth).norm(dim=2).mean(0)


@torch.no_grad()
def _scores_of(images: Float[Tensor, "n c h w"], candidates: Candidates) -> Float[Tensor, " n"]:
    there = images.to(candidates.device)
    probabilities = torch.stack([network(there).double().softmax(1) for network in candidates.networks()])
    return error_norms(probabilities, candidates.label).cpu()
