"""Networks by the names the reference code gives them, its slips included: for comparing with it, not for new work."""

from dataclasses import dataclass
from typing import cast, get_args

import torch

from glad_ray.errors import unknown
from glad_ray.networks.build import ARCHITECTURES, build_architecture
from glad_ray.networks.layers import Classifier
from glad_ray.spec.network import Norm


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An architecture with some choices made by its name."""

    architecture: str
    width: int | None = None
    depth: int | None = None
    norm: Norm | None = None


REFERENCE_NETWORKS: dict[str, Variant] = {
    **{name: Variant(architecture=name) for name in ARCHITECTURES},
    **{f"ConvNetD{depth}": Variant(architecture="ConvNet", depth=depth) for depth in range(1, 9)},
    **{f"ConvNetW{width}": Variant(architecture="ConvNet", width=width) for width in (32, 64, 128, 256, 512, 1024)},
    "ConvNetNN": Variant(architecture="ConvNet", norm="none"),
    "ConvNetBN": Variant(architecture="ConvNet", norm="batchnorm"),
    "ConvNetLN": Variant(architecture="ConvNet", norm="layernorm"),
    "ConvNetIN": Variant(architecture="ConvNet", norm="instancenorm"),
    "ConvNetGN": Variant(architecture="ConvNet", norm="groupnorm"),
    # The name asks for "batchnorm", its code knows "batch" alone, so there is no norm.
    "VGG11BN": Variant(architecture="VGG11", norm="none"),
}

_NORMS = (*get_args(Norm), "batch")


def build_reference_network(
    name: str,
    *,
    channels: int,
    resolution: int,
    classes: int,
    norm: str = "instancenorm",
    width: int | None = None,
    depth: int | None = None,
    rng: torch.Generator | None,
) -> Classifier:
    """The network the reference code builds under this name; what the name fixes overrides the other arguments.

    `norm` is the reference code's argument. Its ResNet18 has batch norm for "batch" and none at all for any name but
    "instancenorm"; its ResNet18CIFAR has batch norm for any name but "instancenorm". Raises `UserError`.
    """
    if name not in REFERENCE_NETWORKS:
        raise unknown("reference network", name, REFERENCE_NETWORKS)
    if norm not in _NORMS:
        raise unknown("norm", norm, _NORMS)
    variant = REFERENCE_NETWORKS[name]
    return build_architecture(
        variant.architecture,
        channels=channels,
        resolution=resolution,
        classes=classes,
        width=width if variant.width is None else variant.width,
        depth=depth if variant.depth is None else variant.depth,
        norm=_norm_built(variant.architecture, norm) if variant.norm is None else variant.norm,
        rng=rng,
    )


def _norm_built(architecture: str, norm: str) -> Norm:
    match architecture, norm:
        case _, "instancenorm":
            return "instancenorm"
        case ("ResNet18", "batch") | ("ResNet18CIFAR", _):
            return "batchnorm"
        case "ResNet18", _:
            return "none"
        case _, "batch":
            raise unknown("norm", norm, get_args(Norm))
        case _:
            return cast("Norm", norm)
