"""ConvNet, the backbone of the field (Gidaris and Komodakis, 2018), and its global-average-pooling variant.

D blocks of 3 x 3 convolution, norm, ReLU and 2 x 2 average pooling, then one linear layer. The depth grows with the
resolution so that 4 x 4 maps are left: D3, D5, D6, D7 at 32, 128, 256, 512 pixels.
"""

import math
from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.networks.base import Architecture, too_small
from glad_ray.spec.networks.layers import Convolutions, Linear, convolutions


class ConvNet(Architecture):
    """Blocks of constant width, whose flattened maps are classified."""

    name: ClassVar[str] = "convnet"
    title: ClassVar[str] = "ConvNet"
    implementation: ClassVar[str] = "glad_ray.networks.convnet:ConvNet"
    reference_names: ClassVar[tuple[str, ...]] = ("ConvNet", "ConvNet")
    standard_width: ClassVar[int] = 128
    small_width: ClassVar[int] = 8
    takes_depth: ClassVar[bool] = True
    takes_norm: ClassVar[bool] = True
    growth: ClassVar[int] = 1
    """factor of the channels from one block to the next"""
    averages: ClassVar[bool] = False
    """whether the means of the last maps are classified in place of the maps"""

    @override
    def check(self) -> None:
        side, depth = self.padded_images.padded_side, len(self.layers) - 1
        if side < 2**depth:
            remedy = f"use depth {side.bit_length() - 1} or less"
            raise too_small(f"A ConvNet of depth {depth}", self.resolution, remedy)

    @cached_property
    @override
    def layers(self) -> Convolutions:
        depth = self.depth or standard_depth(self.resolution)
        stages = [(self.width * self.growth**block, 3, True) for block in range(depth)]
        blocks = convolutions(self.padded_images, stages, self.norm)
        last = blocks[-1].output
        return (*blocks, Linear(last.channels if self.averages else last.values, self.classes))


class ConvNetGAP(ConvNet):
    """The variant of the paper's code whose blocks double in width and whose last maps are averaged."""

    reference_names: ClassVar[tuple[str, ...]] = ("ConvNetGAP",)
    growth: ClassVar[int] = 2
    averages: ClassVar[bool] = True


def standard_depth(resolution: int) -> int:
    """The depth that leaves 4 x 4 maps: 3, 4, 5, 6, 7 at up to 32, 64, 128, 256, 512 pixels."""
    if resolution > 512:
        raise UserError(f"No standard ConvNet depth for {resolution} pixels (up to 512): set the network's depth.")
    return max(3, math.ceil(math.log2(resolution)) - 2)
