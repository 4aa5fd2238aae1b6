"""VGG11 of the dataset-distillation literature: eight 3 x 3 convolutions with norm and one linear layer.

No hidden linear layers and no dropout, unlike Simonyan and Zisserman (2015). In the form for large images the maps are
brought to 7 x 7 by adaptive max pooling, which also enlarges, so 25,088 features at the standard width; the form for
small images classifies what is left, 512 features at 32 pixels.
"""

from functools import cached_property
from typing import ClassVar

from typing_extensions import override

from glad_ray.spec.networks.base import Architecture, too_small
from glad_ray.spec.networks.layers import Convolutions, Linear, Maps, convolutions

_STAGES = (
    (64, True), (128, True), (256, False), (256, True), (512, False), (512, True), (512, False), (512, True),
)  # fmt: skip
"""channels of each convolution, and whether max pooling follows it"""
_SMALLEST_IMAGES = 32


class VGG11(Architecture):
    """Convolutions of 64, 128, 256, 256, 512, 512, 512 and 512 channels."""

    name: ClassVar[str] = "vgg11"
    title: ClassVar[str] = "VGG11"
    implementation: ClassVar[str] = "glad_ray.networks.vgg11:VGG11"
    reference_names: ClassVar[tuple[str, ...]] = ("VGG11CIFAR", "VGG11")
    standard_width: ClassVar[int] = 64
    small_width: ClassVar[int] = 4
    learning_rate: ClassVar[float] = 1e-4
    takes_norm: ClassVar[bool] = True

    @property
    def output_side(self) -> int | None:
        """What the side of the last maps is brought to; None: they are left as they are."""
        return 7 if self.large else None

    @override
    def check(self) -> None:
        if self.padded_images.padded_side < _SMALLEST_IMAGES:
            raise too_small("VGG11", self.resolution, f"use {_SMALLEST_IMAGES} or more, or 28 with one channel")

    @cached_property
    @override
    def layers(self) -> Convolutions:
        stages = [(self.scaled(channels), 3, pool) for channels, pool in _STAGES]
        made = convolutions(self.padded_images, stages, self.norm)
        last = made[-1].output
        return (*made, Linear(Maps(last.channels, self.output_side or last.side).values, self.classes))
