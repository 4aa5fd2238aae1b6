"""From a network's record, or its shape, to the network with its parameters drawn.

Initialisation is PyTorch's default, which all the compared papers use, but drawn from an explicit generator; a foreign
network initialises itself.
"""

import math
from typing import cast

import torch
from torch import nn

from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.networks.batches import single_image, takes_one_image
from glad_ray.networks.foreign import build_foreign, check_foreign
from glad_ray.networks.layers import Classifier, DrawingClassifier
from glad_ray.spec import Network
from glad_ray.spec.networks import ARCHITECTURES, Architecture


def build_network(
    spec: Network, *, channels: int, resolution: int, classes: int, rng: torch.Generator | None
) -> Classifier:
    """The network of a record for images of `channels` x `resolution` x `resolution`, on CPU, in training mode.

    The parameters are drawn from `rng` as PyTorch's default initialisation draws them; `rng` None leaves them
    uninitialised for a caller who loads them (who then also calls `set_dropout_rng` before training a network that
    draws in its forward pass). The global generators are left as they were. Raises `UserError` for a resolution, depth,
    width or norm the architecture cannot have, and for a foreign network that cannot be made; see `check_network` for
    its images.
    """
    if spec.foreign:
        return build_foreign(spec, channels=channels, classes=classes, rng=rng)
    network = build_network_without_storage(spec, channels=channels, resolution=resolution, classes=classes)
    return with_storage(network, rng)


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
    kind = spec.architecture
    if spec.depth is not None and not kind.takes_depth:
        deep = ", ".join(name for name, other in ARCHITECTURES.items() if other.takes_depth)
        raise UserError(f"{spec.name} has a fixed depth: depth={spec.depth} is for {deep} alone, leave it out.")
    if spec.norm != "instancenorm" and not kind.takes_norm:
        normed = ", ".join(name for name, other in ARCHITECTURES.items() if other.takes_norm)
        raise UserError(f"{spec.name} has no norm to choose: norm={spec.norm!r} is for {normed}.")
    return build_without_storage(spec.shape(channels=channels, resolution=resolution, classes=classes))


def build_without_storage(shape: Architecture) -> Classifier:
    """The network of a shape on the meta device; raises `UserError` for images that it cannot take."""
    shape.check()
    implementation = import_callable(shape.implementation, "Network", "a classifier")
    with torch.device("meta"):
        return cast("Classifier", implementation(shape))


def with_storage(network: Classifier, rng: torch.Generator | None) -> Classifier:
    """A network of the meta device on the CPU; see `build_network` for `rng`."""
    # Not `to_empty`, which imports SymPy.
    empty = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in network.state_dict().items()}
    network.load_state_dict(empty, assign=True)
    _initialise(network, rng)
    return network


def set_dropout_rng(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the masks of the next forward passes in training mode from `rng`; a network without dropout draws none."""
    for module in network.modules():
        if isinstance(module, DrawingClassifier):
            module.dropout_rng = rng


def _initialise(network: nn.Module, rng: torch.Generator | None) -> None:
    """Draw every parameter from `rng` in registration order; with `rng` None only reset running statistics.

    Convolutions and linear layers: uniform within 1 / sqrt(fan in), biases too. Norms: the identity. What a network has
    beside them, it draws itself, and where its forward pass draws, that gets a generator of its own.
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
            case Classifier():
                module.initialise_own(rng)
                if isinstance(module, DrawingClassifier):
                    seed = int(torch.randint(2**62, (), generator=rng))
                    module.dropout_rng = torch.Generator().manual_seed(seed)
