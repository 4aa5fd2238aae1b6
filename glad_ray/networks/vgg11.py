"""VGG11 as `glad_ray.spec.networks.vgg11` has it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, convolution, linear, norm, relu_then_max_pool
from glad_ray.spec.networks import vgg11
from glad_ray.spec.networks.layers import Convolution


class Stage(nn.Module):
    """3 x 3 convolution, norm, ReLU, and 2 x 2 max pooling if the shape says so."""

    def __init__(self, shape: Convolution) -> None:
        super().__init__()
        self.pool = shape.pool
        self.conv = convolution(shape)
        self.norm = norm(shape)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One stage."""
        maps = self.norm(self.conv(maps))
        return relu_then_max_pool(maps) if self.pool else F.relu(maps)


class VGG11(Classifier):
    """The network; `output_side` is the side its maps are brought to, None leaves them as they are."""

    def __init__(self, shape: vgg11.VGG11) -> None:
        super().__init__()
        *stages, classifier = shape.layers
        self.output_side = shape.output_side
        self.stages = nn.Sequential(*map(Stage, stages))
        self.classifier = linear(classifier)

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
