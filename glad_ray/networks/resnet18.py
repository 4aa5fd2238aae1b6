"""ResNet18 as `glad_ray.spec.networks.resnet18` has it."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, convolution, linear, norm
from glad_ray.spec.networks import resnet18


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with norm around a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, shape: resnet18.Block) -> None:
        super().__init__()
        self.conv1 = convolution(shape.first)
        self.norm1 = norm(shape.first)
        self.conv2 = convolution(shape.second)
        self.norm2 = norm(shape.second)
        self.shortcut: nn.Module = nn.Identity()
        if shape.shortcut is not None:
            self.shortcut = nn.Sequential(convolution(shape.shortcut), norm(shape.shortcut))

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One block."""
        inner = F.relu(self.norm1(self.conv1(maps)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(maps))


class ResNet18(Classifier):
    """The means of the last maps are classified. With `windows`, in the form for large images, embed averages 4 x 4
    windows of them: its features are longer than what is classified, as in the paper's code.
    """

    def __init__(self, shape: resnet18.ResNet18) -> None:
        super().__init__()
        stem, *blocks, classifier = shape.layers
        self.windows = shape.large
        self.conv1 = convolution(stem)
        self.norm1 = norm(stem)
        self.blocks = nn.Sequential(*map(BasicBlock, blocks))
        self.classifier = linear(classifier)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self._maps(images).mean((2, 3)))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """Means of the last maps; with `windows`, means of their 4 x 4 windows, flattened."""
        maps = self._maps(images)
        return F.avg_pool2d(maps, 4).flatten(1) if self.windows else maps.mean((2, 3))

    def _maps(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        return self.blocks(F.relu(self.norm1(self.conv1(images))))
