"""The layers of a network that have parameters or multiply: how large each is, and what that comes to."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Norm = Literal["instancenorm", "batchnorm", "layernorm", "groupnorm", "none"]


@dataclass(frozen=True)
class Maps:
    """Maps of `channels` x `side` x `side` values that a layer is given."""

    channels: int
    side: int
    extra_padding: int = 0
    """what the first convolution pads an image by on each side beyond its usual padding"""

    @property
    def padded_side(self) -> int:
        """The side with that padding."""
        return self.side + 2 * self.extra_padding

    @property
    def values(self) -> int:
        """The number of values."""
        return self.channels * self.side**2


@dataclass(frozen=True)
class Convolution:
    """A square convolution with the norm and the pooling that follow it."""

    maps: Maps
    """its input"""
    channels: int
    """of its output"""
    kernel: int
    stride: int = 1
    padding: int | None = None
    """on each side; None: what keeps the side at stride 1"""
    bias: bool = True
    norm: Norm = "none"
    pool: bool = False
    """whether 2 x 2 pooling follows, of stride 2"""

    @property
    def whole_padding(self) -> int:
        """On each side, with what the images are padded by."""
        return (self.kernel // 2 if self.padding is None else self.padding) + self.maps.extra_padding

    @property
    def side(self) -> int:
        """Of its output before pooling."""
        return (self.maps.side + 2 * self.whole_padding - self.kernel) // self.stride + 1

    @property
    def output(self) -> Maps:
        """What the next layer is given."""
        return Maps(self.channels, self.side // 2 if self.pool else self.side)

    @property
    def parameters(self) -> int:
        """Number of weights, biases, and scales and shifts of the norm."""
        # Scales and shifts: one a channel, or of layernorm one a value.
        scales = {"none": 0, "layernorm": self.channels * self.side**2}.get(self.norm, self.channels)
        return self._weights + self.bias * self.channels + 2 * scales

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass of one image."""
        return self._weights * self.side**2

    @property
    def _weights(self) -> int:
        return self.maps.channels * self.channels * self.kernel**2


@dataclass(frozen=True)
class Linear:
    """A linear layer, applied to `rows` vectors of an image."""

    features_in: int
    features_out: int
    rows: int = 1
    bias: bool = True

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return (self.features_in + self.bias) * self.features_out

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass of one image."""
        return self.rows * self.features_in * self.features_out


class Cost(NamedTuple):
    """What else has parameters or multiplies."""

    parameters: int = 0
    multiply_adds: int = 0


class Composite(ABC):
    """Several layers as one."""

    @property
    @abstractmethod
    def layers(self) -> "tuple[Layer, ...]":
        """All of them."""

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def multiply_adds(self) -> int:
        """Of one forward pass of one image; norms, activations and pooling do not count."""
        return sum(layer.multiply_adds for layer in self.layers)


Layer = Convolution | Linear | Cost | Composite


Convolutions = tuple[*tuple[Convolution, ...], Linear]
"""convolutions one after another, and a linear layer that classifies"""


def convolutions(maps: Maps, stages: Iterable[tuple[int, int, bool]], norm: Norm = "none") -> list[Convolution]:
    """Convolutions one after another, the first on `maps`: channels and kernel of each, and whether pooling follows."""
    made: list[Convolution] = []
    for channels, kernel, pool in stages:
        made.append(Convolution(made[-1].output if made else maps, channels, kernel, norm=norm, pool=pool))
    return made
