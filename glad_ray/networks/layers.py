"""What the architectures share: layers from their shapes, normalisation and pooling, and what every network can do."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray import machine
from glad_ray.errors import UserError
from glad_ray.networks.few_operations.pooling import pooled_relu
from glad_ray.networks.of_groups import Convolution2d, FullyConnected, GroupNorm, InstanceNorm, LayerNorm
from glad_ray.networks.on_cpu.max_pooling import max_pool
from glad_ray.networks.on_cpu.windows import average_pool
from glad_ray.spec.networks.layers import Convolution, Linear

GROUPS = 4
"""groups of the `groupnorm` variant"""


class Classifier(nn.Module, ABC):
    """A network from normalised images to logits; its parameters keep the reference code's registration order."""

    classifier: nn.Module
    """the last layer"""

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        logits: Tensor = self.classifier(self.embed(images))
        return logits

    @abstractmethod
    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Features before the last linear layer: psi of equation (2)."""

    def maps(self, images: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """What the feature distance between images compares (`glad_ray.feature_distance`), an entry per image in front:
        the features, and of a network that says otherwise the maps of its blocks.
        """
        return [self.embed(images)]

    def initialise_own(self, rng: torch.Generator) -> None:
        """Draw from `rng` the parameters that are of no layer; most networks have none."""


class DrawingClassifier(Classifier):
    """A classifier that draws in its forward pass in training mode, as dropout does.

    `dropout_rng` must be set before such a pass; `build_network` does it when it has an rng.
    """

    dropout_rng: torch.Generator | None = None

    def draw_seed(self) -> int:
        """A fresh one of `dropout_rng`, for the draws of a forward pass."""
        assert self.dropout_rng is not None, "set the network's dropout_rng before training it"
        return int(torch.randint(2**62, (), generator=self.dropout_rng))


class MaskedClassifier(DrawingClassifier):
    """A classifier whose forward pass in training mode can be given all that it would draw: masks of dropout."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "n c h w"], masks: Tensor | None = None) -> Float[Tensor, "n classes"]:
        """Logits of normalised images; in training mode masks that are not given are drawn."""

    @abstractmethod
    def empty_masks(self, images: int, device: torch.device) -> Tensor:
        """Room for the masks of a pass of so many images."""

    @abstractmethod
    def draw_masks(self, masks: Tensor) -> None:
        """Draw the masks of a pass, each 0 for a tenth of the values, else what scales the others up."""


class Fusible(nn.Module):
    """A part of a network that has a form of fewer operations, whose gradient has no gradient of its own."""

    fused = False
    """whether that form may be used (`fuse`)"""


def fuse(network: nn.Module) -> None:
    """Let a network use forms of fewer operations, as training may, which asks for no gradients of gradients."""
    for module in network.modules():
        if isinstance(module, Fusible):
            module.fused = True


def convolution(shape: Convolution) -> nn.Conv2d:
    """A convolution without the norm and the pooling that follow it."""
    maps, kernel = shape.maps, shape.kernel
    return Convolution2d(maps.channels, shape.channels, kernel, shape.stride, shape.whole_padding, bias=shape.bias)


def linear(shape: Linear) -> nn.Linear:
    """A linear layer."""
    return FullyConnected(shape.features_in, shape.features_out, bias=shape.bias)


def norm(shape: Convolution) -> nn.Module:
    """The normalisation layer that follows a convolution, eps 1e-5, biased variance, affine.

    Instance norm is written as group norm with one channel a group: the same numbers, and the fastest form tried on
    CPU. Forward and backward of 10 / 64 contiguous maps of 128 x 32 x 32, one thread, as multiples of its time:
    `F.instance_norm` 2.9 / 1.3, a layer norm over space 3 / 3, separate mean and variance 10 / 5; twice
    differentiated, 2.6 to 5.7 / 1.4 to 2.5. In channels_last `F.instance_norm` was 0.7 of it for 10 images, but a
    ConvNet (with group norm) is slower in channels_last than contiguous.
    """
    channels = shape.channels
    match shape.norm:
        case "instancenorm":
            return InstanceNorm(channels)
        case "batchnorm":
            return nn.BatchNorm2d(channels)
        case "layernorm":
            return LayerNorm([channels, shape.side, shape.side])
        case "groupnorm":
            if channels % GROUPS:
                raise UserError(
                    f"groupnorm needs stages of a multiple of {GROUPS} channels, not {channels}: choose another width."
                )
            return GroupNorm(GROUPS, channels)
        case "none":
            return nn.Identity()


def relu_then_average_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """ReLU, then means of 2 x 2 windows, stride 2; an odd last row or column is left out."""
    if machine.few_operations_are_fast(maps.device):
        return pooled_relu(maps)
    positive = F.relu(maps)
    if not machine.few_passes_are_fast(positive.device) or not positive.is_contiguous():
        return F.avg_pool2d(positive, 2)
    return average_pool(positive)


def relu_then_max_pool(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """ReLU and 2 x 2 max pooling, in the order that is cheaper: the two commute, values and gradients alike."""
    return F.relu(max_pool(maps) if machine.few_passes_are_fast(maps.device) else F.max_pool2d(maps, 2))
