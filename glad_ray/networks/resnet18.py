"""ResNet18 (He et al., 2016) with the stem of its CIFAR form at every resolution: 3 x 3, stride 1, no max pooling.

Larger images therefore simply give larger maps; they are averaged before the linear layer.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, Layout, norm_layer, too_small
from glad_ray.spec.network import Norm


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with norm around a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, side: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = norm_layer(norm, channels_out, side)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.norm2 = norm_layer(norm, channels_out, side)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
                norm_layer(norm, channels_out, side),
            )

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One block."""
        inner = F.relu(self.norm1(self.conv1(maps)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(maps))


class ResNet18(Classifier):
    """Stages of 64, 128, 256, 512 channels, two blocks each; `windows`: embed averages 4 x 4 windows, not the map."""

    def __init__(self, layout: Layout, *, windows: bool) -> None:
        super().__init__()
        self.windows = windows
        width = layout.scaled(64, 64)
        self.conv1 = nn.Conv2d(layout.channels, width, kernel_size=3, padding=1, bias=False)
        self.norm1 = norm_layer(layout.norm, width, layout.resolution)
        blocks = []
        channels, side = width, layout.resolution
        for standard, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            width = layout.scaled(standard, 64)
            side = (side + stride - 1) // stride
            blocks += [
                BasicBlock(channels, width, stride, side, layout.norm),
                BasicBlock(width, width, 1, side, layout.norm),
            ]
            channels = width
        if side == 1 and layout.norm == "instancenorm":
            # A single pixel less its own mean is 0, whatever the image was.
            raise too_small("ResNet18 with instance norm", layout.resolution, "use 9 or more, or another norm")
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels, layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self._maps(images).mean((2, 3)))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Means of the last maps; with `windows`, means of their 4 x 4 windows, flattened."""
        maps = self._maps(images)
        return F.avg_pool2d(maps, 4).flatten(1) if self.windows else maps.mean((2, 3))

    def _maps(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        return self.blocks(F.relu(self.norm1(self.conv1(images))))


def resnet18(layout: Layout) -> ResNet18:
    """The variant for 128 pixels and above; its features are longer than what is classified, as in the paper's code."""
    return ResNet18(layout, windows=True)


def resnet18_cifar(layout: Layout) -> ResNet18:
    """The variant for 32 pixels, whose last map is one 4 x 4 window."""
    return ResNet18(layout, windows=False)
