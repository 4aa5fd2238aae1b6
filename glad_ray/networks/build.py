"""From a network's record, or the reference code's name of it, to the network with its parameters drawn.

Initialisation is PyTorch's default, which all the compared papers use, but drawn from an explicit generator; a foreign
network initialises itself.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from glad_ray.errors import UserError, unknown
from glad_ray.networks.alexnet import AlexNet
from glad_ray.networks.batches import single_image, takes_one_image
from glad_ray.networks.convnet import ConvNet, ConvNetGAP
from glad_ray.networks.foreign import Foreign, build_foreign, check_foreign
from glad_ray.networks.layers import Classifier, Layout
from glad_ray.networks.resnet18 import resnet18, resnet18_cifar
from glad_ray.networks.vgg11 import vgg11, vgg11_cifar
from glad_ray.networks.vit import ViT, vit, vit_cifar
from glad_ray.spec.network import SMALL_FAMILY_PIXELS, STANDARD_WIDTH, Network, Norm, convnet_depth

ARCHITECTURES: dict[str, tuple[str, Callable[[Layout], Classifier]]] = {
    "ConvNet": ("convnet", ConvNet),
    "ConvNetGAP": ("convnet", ConvNetGAP),
    "AlexNet": ("alexnet", AlexNet),
    "AlexNetCIFAR": ("alexnet", AlexNet),
    "VGG11": ("vgg11", vgg11),
    "VGG11CIFAR": ("vgg11", vgg11_cifar),
    "ResNet18": ("resnet18", resnet18),
    "ResNet18CIFAR": ("resnet18", resnet18_cifar),
    "ViT": ("vit", vit),
    "ViTCIFAR": ("vit", vit_cifar),
}
"""the reference code's names: what each is a variant of, and its constructor"""

FAMILIES: dict[str, tuple[str, str]] = {
    "convnet": ("ConvNet", "ConvNet"),
    "alexnet": ("AlexNetCIFAR", "AlexNet"),
    "vgg11": ("VGG11CIFAR", "VGG11"),
    "resnet18": ("ResNet18CIFAR", "ResNet18"),
    "vit": ("ViTCIFAR", "ViT"),
}
"""the architecture for up to 64 pixels, and the one above"""

NORMED = ("convnet", "vgg11", "resnet18")


def build_network(
    spec: Network, *, channels: int, resolution: int, classes: int, rng: torch.Generator | None
) -> Classifier:
    """The network of a record for images of `channels` x `resolution` x `resolution`, on CPU, in training mode.

    The parameters are drawn from `rng` as PyTorch's default initialisation draws them; `rng` None leaves them
    uninitialised for a caller who loads them (who then also calls `set_dropout_rng` before training a ViT or a foreign
    network). The global generators are left as they were. Raises `UserError` for a resolution, depth, width or norm the
    architecture cannot have, and for a foreign network that cannot be made; see `check_network` for its images.
    """
    if spec.foreign:
        return build_foreign(spec, channels=channels, classes=classes, rng=rng)
    return _with_storage(
        build_network_without_storage(spec, channels=channels, resolution=resolution, classes=classes), rng
    )


def check_network(spec: Network, *, channels: int, resolution: int, classes: int, smallest_batch: int = 2) -> None:
    """Raise the `UserError` that building a network for such images, or training it on them, would meet later.

    `smallest_batch` is the least number of images that it will be trained on at once: some cannot take a single one.
    To be called for every network before anything is started. Nothing is drawn, and storage is taken only for a foreign
    network that cannot be tried without: it is imported, called, and given two black images.
    """
    if spec.foreign:
        check_foreign(spec, channels=channels, resolution=resolution, classes=classes, smallest_batch=smallest_batch)
        return
    network = build_network_without_storage(spec, channels=channels, resolution=resolution, classes=classes)
    if smallest_batch > 1 or not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return
    if not takes_one_image(network, torch.zeros(1, channels, resolution, resolution, device="meta")):
        raise single_image(f"{spec.title} at {resolution} pixels")


def build_network_without_storage(spec: Network, *, channels: int, resolution: int, classes: int) -> Classifier:
    """The same on the meta device, where nothing is drawn and nothing takes memory; not for foreign networks."""
    if spec.depth is not None and spec.name != "convnet":
        raise UserError(f"{spec.name} has a fixed depth: depth={spec.depth} is for convnet alone, leave it out.")
    if spec.norm != "instancenorm" and spec.name not in NORMED:
        raise UserError(f"{spec.name} has no norm to choose: norm={spec.norm!r} is for {', '.join(NORMED)}.")
    return _architecture_without_storage(
        FAMILIES[spec.name][resolution > SMALL_FAMILY_PIXELS],
        channels=channels,
        resolution=resolution,
        classes=classes,
        width=spec.width,
        depth=spec.depth,
        norm=spec.norm,
    )


def build_architecture(
    name: str,
    *,
    channels: int,
    resolution: int,
    classes: int,
    width: int | None = None,
    depth: int | None = None,
    norm: Norm = "instancenorm",
    rng: torch.Generator | None,
) -> Classifier:
    """An architecture of `ARCHITECTURES` whatever the resolution; see `build_network` for the rest."""
    network = _architecture_without_storage(
        name, channels=channels, resolution=resolution, classes=classes, width=width, depth=depth, norm=norm
    )
    return _with_storage(network, rng)


def _architecture_without_storage(
    name: str, *, channels: int, resolution: int, classes: int, width: int | None, depth: int | None, norm: Norm
) -> Classifier:
    """On the meta device, where constructing takes no time and draws nothing from the global generator."""
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    kind, construct = ARCHITECTURES[name]
    layout = Layout(
        channels=channels,
        resolution=resolution,
        classes=classes,
        width=STANDARD_WIDTH[kind] if width is None else width,
        depth=convnet_depth(resolution) if depth is None and kind == "convnet" else depth or 0,
        norm=norm,
    )
    with torch.device("meta"):
        return construct(layout)


def _with_storage(network: Classifier, rng: torch.Generator | None) -> Classifier:
    # Not `to_empty`, which imports SymPy.
    empty = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in network.state_dict().items()}
    network.load_state_dict(empty, assign=True)
    initialise(network, rng)
    return network


def set_dropout_rng(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the masks of the next forward passes in training mode from `rng`; a network without dropout draws none."""
    for module in network.modules():
        if isinstance(module, ViT | Foreign):
            module.dropout_rng = rng


def initialise(network: nn.Module, rng: torch.Generator | None) -> None:
    """Draw every parameter from `rng` in registration order; with `rng` None only reset running statistics.

    Convolutions and linear layers: uniform within 1 / sqrt(fan in), biases too. Norms: the identity. ViT's positions
    and class token: standard normal, and its dropout gets a generator of its own.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
        if rng is None:
            continue
        match module:
            case nn.Conv2d() | nn.Linear():
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=rng)
                if module.bias is not None:
                    bound = 1 / math.sqrt(module.weight[0].numel())
                    nn.init.uniform_(module.bias, -bound, bound, generator=rng)
            case nn.GroupNorm() | nn.LayerNorm() | nn.BatchNorm2d():
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            case ViT():
                nn.init.normal_(module.positions, generator=rng)
                nn.init.normal_(module.class_token, generator=rng)
                seed = int(torch.randint(2**62, (), generator=rng))
                set_dropout_rng(module, torch.Generator().manual_seed(seed))
