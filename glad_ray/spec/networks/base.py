"""What the rest of the package asks of a network architecture: all that is to be known of it without PyTorch, and its
shape. What computes it is the class that `implementation` names, which is built from the shape.
"""

from dataclasses import dataclass
from typing import ClassVar

from glad_ray.errors import UserError
from glad_ray.spec.networks.layers import Composite, Maps, Norm


@dataclass(frozen=True, kw_only=True)
class Architecture(Composite):
    """A network architecture. The class tells what it is; an instance is the shape of one network, all of whose layers
    follow from its fields.
    """

    name: ClassVar[str]
    """as records, tables, files and commands have it: letters, digits and underscores"""
    title: ClassVar[str]
    """for people"""
    implementation: ClassVar[str]
    """module:class that computes it, a `glad_ray.networks.Classifier` made from an instance of this class"""
    reference_names: ClassVar[tuple[str, ...]] = ()
    """what the paper's code calls its form for small images, and the one for large images; none: it is not there"""
    standard_width: ClassVar[int]
    small_width: ClassVar[int]
    """width with --small"""
    learning_rate: ClassVar[float] = 1e-3
    """base learning rate of an evaluation that sets none"""
    takes_depth: ClassVar[bool] = False
    """whether its depth can be chosen"""
    takes_norm: ClassVar[bool] = False
    """whether its normalisation layers can be chosen"""
    dropout: ClassVar[bool] = False
    """whether it draws in training; experts of it are trained one by one"""

    channels: int
    """of the images"""
    resolution: int
    """side of the images in pixels"""
    classes: int
    width: int
    """channels of the first stage (ViT: the token dimension)"""
    depth: int | None
    """where it can be chosen; None: what fits the resolution"""
    norm: Norm
    """where it can be chosen"""
    large: bool
    """whether it has the form for large images, where it has two"""

    def check(self) -> None:
        """Raise `UserError` for images that the network cannot take; its layers are told for them all the same."""

    @property
    def padded_images(self) -> Maps:
        """The images, of which the first convolution makes 32-pixel maps where they are grey and of 28 pixels.

        The reference code pads every one-channel image so, because all of its own are 28 pixels wide. At other
        resolutions we do not: the maps would only grow past the powers of two and lose their border when pooled.
        """
        return Maps(self.channels, self.resolution, 2 if self.channels == 1 and self.resolution == 28 else 0)

    def scaled(self, channels: int) -> int:
        """Channels of a stage that has `channels` at the standard width, in proportion; at least 1."""
        return max(1, round(channels * self.width / self.standard_width))


def too_small(architecture: str, resolution: int, remedy: str) -> UserError:
    """The error for images that shrink to nothing inside a network."""
    return UserError(f"{architecture} cannot take images of {resolution} pixels: {remedy}.")
