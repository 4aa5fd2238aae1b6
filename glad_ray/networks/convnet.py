"""ConvNet and its global-average-pooling variant, as `glad_ray.spec.networks.convnet` has them."""

from typing import cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from glad_ray import machine
from glad_ray.networks.layers import Classifier, convolution, linear, norm, relu_then_average_pool
from glad_ray.networks.of_groups import InstanceNorm
from glad_ray.spec.networks import convnet
from glad_ray.spec.networks.layers import Convolution


class Block(nn.Module):
    """3 x 3 convolution, norm, ReLU, 2 x 2 average pooling."""

    def __init__(self, shape: Convolution) -> None:
        super().__init__()
        self.conv = convolution(shape)
        self.norm = norm(shape)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One block."""
        convolved: Tensor = self.conv(maps)
        if isinstance(self.norm, InstanceNorm) and machine.few_passes_are_fast(convolved.device):
            return self.norm.relu_then_average_pool(convolved)
        return relu_then_average_pool(self.norm(convolved))

    def before_pooling(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        """Convolution and norm alone."""
        normed: Tensor = self.norm(self.conv(maps))
        return normed


class ConvNet(Classifier):
    """The flattened maps (c, h, w) of the last block are classified, or their means."""

    def __init__(self, shape: convnet.ConvNet) -> None:
        super().__init__()
        *blocks, classifier = shape.layers
        self.averages = shape.averages
        self.blocks = nn.Sequential(*map(Block, blocks))
        self.classifier = linear(classifier)

    @override
    def maps(self, images: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Those of every block after ReLU and before pooling."""
        found = []
        for block in cast("list[Block]", list(self.blocks)):
            normed = block.before_pooling(images)
            found.append(F.relu(normed))
            images = relu_then_average_pool(normed)
        return found

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The flattened maps of the last block, or their means."""
        maps = self.blocks(images)
        return maps.mean((2, 3)) if self.averages else maps.flatten(1)
