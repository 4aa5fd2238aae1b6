"""What the architectures share: the request they are built from, normalisation layers, pooling and width scaling."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.errors import UserError
from glad_ray.spec.network import Norm

GROUPS = 4
"""groups of the `groupnorm` variant"""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a constructor needs to know; every default is already decided."""

    channels: int
    """of the images"""
    resolution: int
    """side of the images in pixels"""
    classes: int
    width: int
    """channels of the first stage (ViT: the token dimension)"""
    depth: int
    """blocks of a ConvNet; the other architectures have a fixed depth and ignore it"""
    norm: Norm = "instancenorm"
    """ignored by the architectures without such a choice"""

    def scaled(self, channels: int, standard_width: int) -> int:
        """Channels of a later stage, in the proportion it has at the standard width; at least 1."""
        return max(1, round(channels * self.width / standard_width))

    @property
    def extra_padding(self) -> int:
        """Padding the first convolution adds to its usual one, so that 28-pixel grey images become 32-pixel maps.

        The reference code pads every one-channel image so, because all of its own are 28 pixels wide. At other
        resolutions we do not: the maps would only grow past the powers of two and lose their border when pooled.
        """
        return 2 if self.channels == 1 and self.resolution == 28 else 0


class Classifier(nn.Module, ABC):
    """A network from normalised images to logits; its parameters keep the reference code's registration order."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""

    @abstractmethod
    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Features before the last linear layer: psi of equation (2)."""


def too_small(architecture: str, resolution: int, remedy: str) -> UserError:
    """The error for images that shrink to nothing inside a network."""
    return UserError(f"{architecture} cannot take images of {resolution} pixels: {remedy}.")


def norm_layer(norm: Norm, channels: int, side: int) -> nn.Module:
    """A normalisation layer for maps of `channels` x `side` x `side`, eps 1e-5, biased variance, affine.

    Instance norm is written as group norm with one channel a group: the same numbers, and the fastest form tried on
    CPU. Forward and backward of 10 / 64 contiguous maps of 128 x 32 x 32, one thread, as multiples of its time:
    `F.instance_norm` 2.9 / 1.3, a layer norm over space 3 / 3, separate mean and variance 10 / 5; twice
    differentiated, 2.6 to 5.7 / 1.4 to 2.5. In channels_last `F.instance_norm` was 0.7 of it for 10 images, but a
    ConvNet (with group norm) is slower in channels_last than contiguous.
    """
    match norm:
        case "instancenorm":
            return nn.GroupNorm(channels, channels)
        case "batchnorm":
            return nn.BatchNorm2d(channels)
        case "layernorm":
            return nn.LayerNorm([channels, side, side])
        case "groupnorm":
            if channels % GROUPS:
                raise UserError(
                    f"groupnorm needs stages of a multiple of {GROUPS} channels, not {channels}: choose another width."
                )
            return nn.GroupNorm(GROUPS, channels)
        case "none":
            return nn.Identity()


def average_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Means of 2 x 2 windows, stride 2; an odd last row or column is left out."""
    if maps.device.type != "cpu" or not maps.is_contiguous():
        return F.avg_pool2d(maps, 2)
    # PyTorch's kernel for this layout on CPU is scalar. Adding slices takes about 10 % off a ConvNet's training step of
    # 10 images; of 64, 5 to 10 % with an allocator that keeps its pages and nothing measurable otherwise.
    height, width = (side // 2 * 2 for side in maps.shape[-2:])
    rows = maps[..., 0:height:2, :] + maps[..., 1:height:2, :]
    return (rows[..., 0:width:2] + rows[..., 1:width:2]) * 0.25


def relu_then_max_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """ReLU and 2 x 2 max pooling, in the order that is cheaper: the two commute, values and gradients alike."""
    return F.relu(F.max_pool2d(maps, 2))
