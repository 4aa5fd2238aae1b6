"""VGG11 of the dataset-distillation literature: eight 3 x 3 convolutions with norm and one linear layer.

No hidden linear layers and no dropout, unlike Simonyan and Zisserman (2015). At 128 pixels and above the maps are
brought to 7 x 7 by adaptive max pooling, which also enlarges; the 32-pixel variant classifies what is left.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, Layout, norm_layer, relu_then_max_pool, too_small
from glad_ray.spec.network import Norm

# Channels of each convolution, and whether max pooling follows it.
_STAGES = (
    (64, True), (128, True), (256, False), (256, True), (512, False), (512, True), (512, False), (512, True),
)  # fmt: skip


class Stage(nn.Module):
    """3 x 3 convolution, norm, ReLU, and 2 x 2 max pooling if `pool`."""

    def __init__(self, channels_in: int, channels_out: int, *, side: int, padding: int, pool: bool, norm: Norm) -> None:
        super().__init__()
        self.pool = pool
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=padding)
        self.norm = norm_layer(norm, channels_out, side)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One stage."""
        maps = self.norm(self.conv(maps))
        return relu_then_max_pool(maps) if self.pool else F.relu(maps)


class VGG11(Classifier):
    """The network; `output_side` is the side its maps are brought to, None leaves them as they are."""

    def __init__(self, layout: Layout, output_side: int | None) -> None:
        super().__init__()
        side = layout.resolution + 2 * layout.extra_padding
        if side < 32:
            raise too_small("VGG11", layout.resolution, "use 32 or more, or 28 with one channel")
        self.output_side = output_side
        stages = []
        channels, padding = layout.channels, 1 + layout.extra_padding
        for standard, pool in _STAGES:
            width = layout.scaled(standard, 64)
            stages.append(Stage(channels, width, side=side, padding=padding, pool=pool, norm=layout.norm))
            channels, padding, side = width, 1, side // 2 if pool else side
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels * (output_side or side) ** 2, layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self.embed(images))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The flattened maps of the last stage."""
        maps = self.stages(images)
        if self.output_side is not None:
            maps = _adaptive_max_pool(maps, self.output_side)
        return maps.flatten(1)


def _adaptive_max_pool(maps: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    if not torch.are_deterministic_algorithms_enabled():
        return F.adaptive_max_pool2d(maps, side)
    # The same from operations whose gradients are deterministic on a GPU; among equal values it may choose another.
    rows, columns = (_windows(size, side).to(maps.device) for size in maps.shape[2:])
    return maps[:, :, rows].max(3).values[..., columns].max(4).values


def _windows(size: int, count: int) -> Int64[Tensor, "count longest"]:
    """The positions of each of `count` windows over `size`; the last one of a shorter window is repeated."""
    begins = torch.arange(count) * size // count
    ends = -(-(torch.arange(count) + 1) * size // count)
    longest = int((ends - begins).max())
    return (begins[:, None] + torch.arange(longest)).clamp(max=ends[:, None] - 1)


def vgg11(layout: Layout) -> VGG11:
    """The variant for 128 pixels and above: 7 x 7 maps, so 25,088 features at the standard width."""
    return VGG11(layout, output_side=7)


def vgg11_cifar(layout: Layout) -> VGG11:
    """The variant for 32 pixels: 512 features."""
    return VGG11(layout, output_side=None)
