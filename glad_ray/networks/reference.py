"""Networks by the names the reference code gives them, its slips included: for comparing with it, not for new work."""

from dataclasses import dataclass
from typing import cast, get_args

import torch

from glad_ray.errors import unknown
from glad_ray.networks.build import build_without_storage, with_storage
from glad_ray.networks.layers import Classifier
from glad_ray.spec.networks import ARCHITECTURES, Architecture, Norm
from glad_ray.spec.networks.convnet import ConvNet, ConvNetGAP
from glad_ray.spec.networks.resnet18 import ResNet18
from glad_ray.spec.networks.vgg11 import VGG11


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An architecture with some choices made by its name."""

    architecture: type[Architecture]
    large: bool = False
    width: int | None = None
    depth: int | None = None
    norm: Norm | None = None


_KINDS: tuple[type[Architecture], ...] = (*ARCHITECTURES.values(), ConvNetGAP)
REFERENCE_NETWORKS: dict[str, Variant] = {
    **{
        name: Variant(architecture=kind, large=bool(place))
        for kind in _KINDS
        for place, name in enumerate(kind.reference_names)
    },
    **{f"ConvNetD{depth}": Variant(architecture=ConvNet, depth=depth) for depth in range(1, 9)},
    **{f"ConvNetW{width}": Variant(architecture=ConvNet, width=width) for width in (32, 64, 128, 256, 512, 1024)},
    "ConvNetNN": Variant(architecture=ConvNet, norm="none"),
    "ConvNetBN": Variant(architecture=ConvNet, norm="batchnorm"),
    "ConvNetLN": Variant(architecture=ConvNet, norm="layernorm"),
    "ConvNetIN": Variant(architecture=ConvNet, norm="instancenorm"),
    "ConvNetGN": Variant(architecture=ConvNet, norm="groupnorm"),
    # The name asks for "batchnorm", its code knows "batch" alone, so there is no norm.
    "VGG11BN": Variant(architecture=VGG11, large=True, norm="none"),
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
    shape = variant.architecture(
        channels=channels,
        resolution=resolution,
        classes=classes,
        width=variant.width or width or variant.architecture.standard_width,
        depth=variant.depth or depth,
        norm=variant.norm or _norm_built(variant, norm),
        large=variant.large,
    )
    return with_storage(build_without_storage(shape), rng)


def _norm_built(variant: Variant, norm: str) -> Norm:
    if norm == "instancenorm":
        return "instancenorm"
    if variant.architecture is ResNet18:
        return "none" if variant.large and norm != "batch" else "batchnorm"
    if norm == "batch":
        raise unknown("norm", norm, get_args(Norm))
    return cast("Norm", norm)
