"""Which classifier: the backbone that distils, and the unseen networks that evaluate.

The architectures are those of the paper's code (section 4.1 of the paper); `glad_ray.networks` builds them.
"""

import math
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from glad_ray.errors import UserError
from glad_ray.spec.record import Record

NetworkName = Literal["convnet", "alexnet", "vgg11", "resnet18", "vit"]
NETWORK_NAMES: tuple[str, ...] = get_args(NetworkName)
STANDARD_WIDTH = {"convnet": 128, "alexnet": 128, "vgg11": 64, "resnet18": 64, "vit": 512}
TITLES = {"convnet": "ConvNet", "alexnet": "AlexNet", "vgg11": "VGG11", "resnet18": "ResNet18", "vit": "ViT"}

SMALL_FAMILY_PIXELS = 64
"""the 32-pixel family of networks serves up to here, the other one above"""

Norm = Literal["instancenorm", "batchnorm", "layernorm", "groupnorm", "none"]


class Network(Record):
    """A classifier architecture; the family (32 pixels, or 128 and above) follows from the resolution."""

    name: NetworkName = "convnet"
    """convnet, alexnet, vgg11, resnet18 or vit"""
    width: int | None = Field(default=None, ge=2)
    """channels of the first stage (ViT: the token dimension); the others scale with it; None: the standard width"""
    depth: int | None = Field(default=None, ge=1, le=9)
    """blocks of the ConvNet; None: 3, 4, 5, 6, 7 at up to 32, 64, 128, 256, 512 pixels"""
    norm: Norm = "instancenorm"
    """normalisation layer of ConvNet, VGG11 and ResNet18"""

    @property
    def key(self) -> str:
        """A short name for files and table columns: `convnet`, `resnet18-w16`, `convnet-w32-d2`."""
        parts: list[str] = [self.name]
        if self.width is not None and self.width != STANDARD_WIDTH[self.name]:
            parts.append(f"w{self.width}")
        if self.depth is not None:
            parts.append(f"d{self.depth}")
        if self.norm != "instancenorm":
            parts.append(self.norm)
        return "-".join(parts)

    @property
    def title(self) -> str:
        """The name as the paper's tables print it, with a reduced width said: `ResNet18 (width 16)`."""
        reduced = self.width is not None and self.width != STANDARD_WIDTH[self.name]
        return TITLES[self.name] + (f" (width {self.width})" if reduced else "")


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NetworkByName = Annotated[Network, BeforeValidator(_by_name)]


def convnet_depth(resolution: int) -> int:
    """The ConvNet depth that leaves 4 x 4 maps: 3, 4, 5, 6, 7 at up to 32, 64, 128, 256, 512 pixels."""
    if resolution > 512:
        raise UserError(f"No standard ConvNet depth for {resolution} pixels (up to 512): set the network's depth.")
    return max(3, math.ceil(math.log2(resolution)) - 2)
