"""Which classifier: the backbone that distils, and the unseen networks that evaluate.

It has one of the architectures of `glad_ray.spec.networks`; any other classifier that can be imported may evaluate too,
by the name `package.module:callable`. `glad_ray.networks` builds them all.
"""

import functools
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from glad_ray.errors import UserError, unknown
from glad_ray.spec.networks import ARCHITECTURES, NETWORK_NAMES, Architecture, Norm
from glad_ray.spec.record import Record
from glad_ray.spec.written.code_names import Option, check_option_names, is_code_name, plain_options

_LARGEST_SMALL_IMAGES = 64
"""pixels up to which an architecture has its form for small images, and above it the one for large ones"""
_WORD = re.compile(r"(?!True|False)[A-Za-z_]\w*", re.ASCII)
_DECIDED = ("num_classes", "in_chans", "weights", "pretrained")
"""options that are not the user's: the data decide the first two, and evaluation trains from scratch"""
_KEY_CHARACTERS = 80
"""of the options in a key, at most: keys become file names"""


class Network(Record):
    """A classifier: one of the architectures here, or any that can be imported.

    The form of an architecture (for small images, or large ones) follows from the resolution. A foreign network is
    called as timm's are, `callable(num_classes=, in_chans=, **options)`, or as torchvision's, which take three channels
    and no `in_chans`. It evaluates and never distils.
    """

    name: str = "convnet"
    """one of `NETWORK_NAMES`; or package.module:callable, such as torchvision.models:resnet50"""
    width: int | None = Field(default=None, ge=2)
    """channels of the first stage (ViT: the token dimension); the others scale with it; None: the standard width"""
    depth: int | None = Field(default=None, ge=1, le=9)
    """of an architecture that has a choice, the ConvNet: its blocks; None: as many as fit the resolution"""
    norm: Norm = "instancenorm"
    """normalisation layer of an architecture that has a choice"""
    options: Annotated[Mapping[str, Option], plain_options("Network")] = {}
    """keyword arguments of a package.module:callable, passed on as they are, such as image_size=32"""

    @field_validator("name")
    @classmethod
    def _known_or_foreign(cls, name: str) -> str:
        if name in NETWORK_NAMES or is_code_name(name):
            return name
        raise UserError(
            f"{unknown('Network.name', name, NETWORK_NAMES)} Any other network that can be imported is named "
            "package.module:callable, for example torchvision.models:resnet50."
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.foreign and self.options:
            raise UserError(f"{self.name} takes no options: they are for networks named package.module:callable.")
        if self.foreign and (self.width is not None or self.depth is not None or self.norm != "instancenorm"):
            raise UserError(
                f"{self.name} has no width, depth or norm of ours: leave them out and set options of its own instead."
            )
        why = "the data decide the sizes and training starts from scratch"
        check_option_names(f"Network.options of {self.name}", self.options, _DECIDED, why)
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return () if self.options else ("options",)

    def __hash__(self) -> int:
        return hash((self.name, self.width, self.depth, self.norm, frozenset(self.options.items())))

    @property
    def foreign(self) -> bool:
        """Whether it is another package's: evaluates only, and its cost is not known without building it."""
        return ":" in self.name

    @property
    def architecture(self) -> type[Architecture]:
        """What is known of it; of a foreign one, what all have in common."""
        return ARCHITECTURES.get(self.name, Architecture)

    def shape(self, *, channels: int, resolution: int, classes: int) -> Architecture:
        """Its layers for images of `channels` x `resolution` x `resolution`, unless it is foreign."""
        return _shape(self, channels, resolution, classes)

    @property
    def key(self) -> str:
        """A short name for files and table columns: `convnet-w32-d2`, `torchvision.models.vit_b_16-image_size=32`.

        Different networks have different keys. Of a foreign one the part before the first hyphen has a dot and the
        options follow it, with a hash where they are too long or too odd for a file name.
        """
        if self.foreign:
            return self.name.replace(":", ".") + (f"-{_options_key(self.options)}" if self.options else "")
        parts = [self.name]
        if self.width not in (None, self.architecture.standard_width):
            parts.append(f"w{self.width}")
        if self.depth is not None:
            parts.append(f"d{self.depth}")
        if self.norm != "instancenorm":
            parts.append(self.norm)
        return "-".join(parts)

    @property
    def title(self) -> str:
        """The name as tables print it: `ResNet18 (width 16)`, `vit_b_16 (torchvision.models, image_size=32)`."""
        if self.foreign:
            module, _, callable_name = self.name.partition(":")
            return f"{callable_name} ({', '.join([module, *_assignments(self.options)])})"
        standard = self.width in (None, self.architecture.standard_width)
        return self.architecture.title + ("" if standard else f" (width {self.width})")


@functools.lru_cache(maxsize=256)
def _shape(network: Network, channels: int, resolution: int, classes: int) -> Architecture:
    kind = network.architecture
    return kind(
        channels=channels,
        resolution=resolution,
        classes=classes,
        width=network.width or kind.standard_width,
        depth=network.depth,
        norm=network.norm,
        large=resolution > _LARGEST_SMALL_IMAGES,
    )


def _assignments(options: Mapping[str, Option]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(options.items())]


def _options_key(options: Mapping[str, Option]) -> str:
    """The options as part of a file name, different for different options."""
    said = ",".join(_assignments(options))
    # Numbers and booleans are safe as they are written; text is where it cannot be taken for one of them.
    if len(said) <= _KEY_CHARACTERS and all(_WORD.fullmatch(v) for v in options.values() if isinstance(v, str)):
        return said
    safe = re.sub(r"[^\w.,=+-]", "_", said, flags=re.ASCII)[:_KEY_CHARACTERS]
    digest = hashlib.sha256(json.dumps(dict(options), sort_keys=True).encode()).hexdigest()[:8]
    return f"{safe}-{digest}"


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _able_to_distil(network: Network) -> Network:
    if network.foreign:
        raise UserError(
            f"{network.name} can evaluate but not distil: as backbone use one of {', '.join(NETWORK_NAMES)}."
        )
    return network


NetworkByName = Annotated[Network, BeforeValidator(_by_name)]
"""a network, or just its name"""
BackboneByName = Annotated[NetworkByName, AfterValidator(_able_to_distil)]
"""the same for a network that distils or is an expert; raises `UserError` for a foreign one"""
