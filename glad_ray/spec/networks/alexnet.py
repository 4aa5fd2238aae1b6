"""AlexNet of the dataset-distillation literature: five small convolutions and one linear layer.

No hidden linear layers, norms or dropout, unlike Krizhevsky et al. (2012). The linear layer grows with the resolution;
at 32 pixels the two forms of the paper's code are the same network.
"""

from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from glad_ray.spec.networks.base import Architecture, too_small
from glad_ray.spec.networks.layers import Convolutions, Linear, convolutions

_STAGES = ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))
"""channels and kernel of each convolution, and whether max pooling follows it"""
_SMALLEST_IMAGES = 8


class AlexNet(Architecture):
    """Convolutions of 128, 192, 256, 192 and 192 channels."""

    name: ClassVar[str] = "alexnet"
    title: ClassVar[str] = "AlexNet"
    implementation: ClassVar[str] = "glad_ray.networks.alexnet:AlexNet"
    reference_names: ClassVar[tuple[str, ...]] = ("AlexNetCIFAR", "AlexNet")
    standard_width: ClassVar[int] = 128
    small_width: ClassVar[int] = 8

    @override
    def check(self) -> None:
        if self.resolution < _SMALLEST_IMAGES:
            raise too_small("AlexNet", self.resolution, f"use {_SMALLEST_IMAGES} or more")

    @cached_property
    @override
    def layers(self) -> Convolutions:
        made = convolutions(
            self.padded_images, [(self.scaled(channels), kernel, pool) for channels, kernel, pool in _STAGES]
        )
        return (*made, Linear(made[-1].output.values, self.classes))
