"""The network architectures: one file each, listed once, in `ARCHITECTURES`. `glad_ray.networks` computes them."""

from glad_ray.spec.networks.alexnet import AlexNet
from glad_ray.spec.networks.base import Architecture
from glad_ray.spec.networks.convnet import ConvNet
from glad_ray.spec.networks.layers import Norm
from glad_ray.spec.networks.resnet18 import ResNet18
from glad_ray.spec.networks.vgg11 import VGG11
from glad_ray.spec.networks.vit import ViT

ARCHITECTURES: dict[str, type[Architecture]] = {kind.name: kind for kind in (ConvNet, AlexNet, VGG11, ResNet18, ViT)}
"""by name"""
NETWORK_NAMES = tuple(ARCHITECTURES)
PAPER_NETWORKS = ("convnet", "alexnet", "vgg11", "resnet18", "vit")
"""those that the paper evaluates with (section 4.1)"""

__all__ = ["ARCHITECTURES", "NETWORK_NAMES", "PAPER_NETWORKS", "Architecture", "Norm"]
