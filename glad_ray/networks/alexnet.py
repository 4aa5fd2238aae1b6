"""AlexNet of the dataset-distillation literature: five small convolutions and one linear layer.

No hidden linear layers, norms or dropout, unlike Krizhevsky et al. (2012). The linear layer grows with the resolution;
at 32 pixels the two families of the reference code are the same network.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.networks.layers import Classifier, Layout, relu_then_max_pool, too_small


class AlexNet(Classifier):
    """Convolutions 128, 192 (5 x 5), 256, 192, 192 (3 x 3); max pooling after the first, second and last."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        side = (layout.resolution + 2 * layout.extra_padding) // 8
        if side < 1:
            raise too_small("AlexNet", layout.resolution, "use 8 or more")
        w1, w2, w3, w4, w5 = (layout.scaled(channels, 128) for channels in (128, 192, 256, 192, 192))
        self.conv1 = nn.Conv2d(layout.channels, w1, kernel_size=5, padding=2 + layout.extra_padding)
        self.conv2 = nn.Conv2d(w1, w2, kernel_size=5, padding=2)
        self.conv3 = nn.Conv2d(w2, w3, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(w3, w4, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(w4, w5, kernel_size=3, padding=1)
        self.classifier = nn.Linear(w5 * side**2, layout.classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Logits of normalised images."""
        return self.classifier(self.embed(images))

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The flattened maps of the last convolution."""
        maps = relu_then_max_pool(self.conv1(images))
        maps = relu_then_max_pool(self.conv2(maps))
        maps = F.relu(self.conv3(maps))
        maps = F.relu(self.conv4(maps))
        return relu_then_max_pool(self.conv5(maps)).flatten(1)
