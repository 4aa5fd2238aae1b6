"""ResNet18 (He et al., 2016) with the stem of its CIFAR form at every resolution: 3 x 3, stride 1, no max pooling.

Larger images therefore simply give larger maps; they are averaged before the linear layer.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from glad_ray.spec.networks.base import Architecture, too_small
from glad_ray.spec.networks.layers import Composite, Convolution, Linear, Maps

_BLOCKS = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""channels of each block, and the stride of its first convolution"""


@dataclass(frozen=True)
class Block(Composite):
    """Two 3 x 3 convolutions around a shortcut."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None
    """1 x 1, where the shape changes"""

    @property
    @override
    def layers(self) -> tuple[Convolution, ...]:
        return (self.first, self.second) if self.shortcut is None else (self.first, self.second, self.shortcut)


class ResNet18(Architecture):
    """Stages of 64, 128, 256 and 512 channels, two blocks each."""

    name: ClassVar[str] = "resnet18"
    title: ClassVar[str] = "ResNet18"
    implementation: ClassVar[str] = "glad_ray.networks.resnet18:ResNet18"
    reference_names: ClassVar[tuple[str, ...]] = ("ResNet18CIFAR", "ResNet18")
    standard_width: ClassVar[int] = 64
    small_width: ClassVar[int] = 4
    takes_norm: ClassVar[bool] = True

    @override
    def check(self) -> None:
        _, *blocks, _ = self.layers
        if blocks[-1].second.side == 1 and self.norm == "instancenorm":
            # A single pixel less its own mean is 0, whatever the image was.
            raise too_small("ResNet18 with instance norm", self.resolution, "use 9 or more, or another norm")

    @cached_property
    @override
    def layers(self) -> tuple[Convolution, *tuple[Block, ...], Linear]:
        stem = Convolution(Maps(self.channels, self.resolution), self.scaled(64), 3, bias=False, norm=self.norm)
        maps, blocks = stem.output, []
        for channels, stride in _BLOCKS:
            blocks.append(self._block(maps, self.scaled(channels), stride))
            maps = blocks[-1].second.output
        return (stem, *blocks, Linear(maps.channels, self.classes))

    def _block(self, maps: Maps, channels: int, stride: int) -> Block:
        first = Convolution(maps, channels, 3, stride, bias=False, norm=self.norm)
        second = Convolution(first.output, channels, 3, bias=False, norm=self.norm)
        same = stride == 1 and channels == maps.channels
        shortcut = None if same else Convolution(maps, channels, 1, stride, bias=False, norm=self.norm)
        return Block(first, second, shortcut)
