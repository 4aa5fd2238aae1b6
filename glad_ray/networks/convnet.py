"""ConvNet, the backbone of the field (Gidaris and Komodakis, 2018), and its global-average-pooling variant.

D blocks of 3 x 3 convolution, norm, ReLU and 2 x 2 average pooling, then one linear layer. The depth grows with the
resolution so that 4 x 4 maps are left: D3, D5, D6, D7 at 32, 128, 256, 512 pixels.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, Layout, average_pool, norm_layer, too_small
from glad_ray.spec.network import Norm


class Block(nn.Module):
    """3 x 3 convolution, norm, ReLU, 2 x 2 average pooling."""

    def __init__(self, channels_in: int, channels_out: int, side: int, padding: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=padding)
        self.norm = norm_layer(norm, channels_out, side)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One block."""
        return average_pool(F.relu(self.norm(self.conv(maps))))


class ConvNet(Classifier):
    """Blocks of constant width; their flattened maps (c, h, w) are classified."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.blocks, side = _blocks(layout, [layout.width] * layout.depth)
        self.classifier = nn.Linear(layout.width * side**2, layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self.embed(images))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The flattened maps of the last block."""
        return self.blocks(images).flatten(1)


class ConvNetGAP(Classifier):
    """Blocks that double in width; the means of the last maps are classified."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        widths = [layout.width * 2**block for block in range(layout.depth)]
        self.blocks, _ = _blocks(layout, widths)
        self.classifier = nn.Linear(widths[-1], layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self.embed(images))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Means of the maps of the last block."""
        return self.blocks(images).mean((2, 3))


def _blocks(layout: Layout, widths: list[int]) -> tuple[nn.Sequential, int]:
    """Blocks of the given widths, and the side of the maps they leave."""
    side = layout.resolution + 2 * layout.extra_padding
    if side < 2 ** len(widths):
        raise too_small(
            f"A ConvNet of depth {len(widths)}", layout.resolution, f"use depth {side.bit_length() - 1} or less"
        )
    blocks = []
    channels, padding = layout.channels, 1 + layout.extra_padding
    for width in widths:
        blocks.append(Block(channels, width, side, padding, layout.norm))
        channels, padding, side = width, 1, side // 2
    return nn.Sequential(*blocks), side
