"""CutMix (Yun et al., 2019) and MixUp (Zhang et al., 2018): images of a mini-batch mixed with others of it.

CutMix pastes a box of another image, MixUp adds the two; every image gets one partner, and all of a mini-batch the same
box or share. Draws come from an explicit rng on the CPU and are kept apart from what is computed, as those of DSA are.

Not built on kornia, whose `RandomCutMixV2` and `RandomMixUpV2` draw from PyTorch's global state and place a box so that
it lies within the image; here, as in Yun et al. and in the codes of IDC, NCFM and RDED, its centre is uniform over the
image and the box is clipped.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.machine import upload
from glad_ray.spec.images.augmentation import Mixing


class Box(NamedTuple):
    """A part of an image; the last row and column are excluded."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass(frozen=True)
class Mix:
    """How the images of a mini-batch are mixed."""

    partners: Int64[Tensor, " n"]
    """for each image the number of the one that it is mixed with, on the CPU"""
    own_share: float
    """of an image in the mixture, and so of its label, in [0, 1]"""
    box: Box | None
    """what CutMix takes from the partner; None: MixUp"""


def cutmix_box(height: int, width: int, own_share: float, center_row: int, center_column: int) -> Box:
    """The box around a centre whose area, before it is clipped to the image, is the share 1 - `own_share` of the
    image's. It reaches half of its side, rounded down, to either side of the centre: an odd side loses a pixel.
    """
    share = math.sqrt(1 - own_share)
    reach_h, reach_w = int(height * share) // 2, int(width * share) // 2
    return Box(
        max(center_row - reach_h, 0),
        max(center_column - reach_w, 0),
        min(center_row + reach_h, height),
        min(center_column + reach_w, width),
    )


def cutmix_of(height: int, width: int, box: Box, partners: Int64[Tensor, " n"]) -> Mix:
    """CutMix with a given box; the own share is the area outside the box."""
    area = (box.last_row - box.first_row) * (box.last_column - box.first_column)
    return Mix(partners, 1 - area / (height * width), box)


def draw_mix(mixing: Mixing, images: int, height: int, width: int, rng: torch.Generator) -> Mix | None:
    """Draw how a mini-batch of so many images is mixed; None: it is not."""
    if float(torch.rand((), generator=rng, dtype=torch.float64)) >= mixing.probability:
        return None
    own_share = _symmetric_beta(mixing.alpha, float(torch.rand((), generator=rng, dtype=torch.float64)))
    row, column = (int(torch.randint(side, (), generator=rng)) for side in (height, width))
    partners = torch.randperm(images, generator=rng)
    if mixing.kind == "mixup":
        return Mix(partners, own_share, None)
    return cutmix_of(height, width, cutmix_box(height, width, own_share, row, column), partners)


def mix_images(images: Float[Tensor, "n c h w"], mix: Mix | None) -> Float[Tensor, "n c h w"]:
    """The images mixed with their partners; differentiable in the images."""
    if mix is None:
        return images
    partners = images[upload(mix.partners, images.device)]
    if mix.box is None:
        return mix.own_share * images + (1 - mix.own_share) * partners
    top, left, bottom, right = mix.box
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return mixed


def mixed_cross_entropy(
    logits: Float[Tensor, "n k"], targets: Int64[Tensor, " n"] | Float[Tensor, "n k"], mix: Mix | None
) -> Float[Tensor, ""]:
    """Mean cross-entropy of mixed images with their own and their partners' targets, each by its share; `targets` are
    classes or class probabilities.
    """
    own = F.cross_entropy(logits, targets)
    if mix is None:
        return own
    partners = F.cross_entropy(logits, targets[upload(mix.partners, targets.device)])
    return mix.own_share * own + (1 - mix.own_share) * partners


def _symmetric_beta(alpha: float, uniform: float) -> float:
    """The quantile of Beta(alpha, alpha) at `uniform`: a draw from one uniform number."""
    if alpha == 1:
        return uniform
    # Imported late: few trainings need it.
    from scipy.special import betaincinv

    return float(betaincinv(alpha, alpha, uniform))
