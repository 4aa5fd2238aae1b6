"""AlexNet as `glad_ray.spec.networks.alexnet` has it.

Tried and left: maps in channels_last. An epoch of evaluation on ten images took 0.92 of the CPU seconds with the images
alone in that layout (quartiles of five rounds on a busy machine: 0.86 to 1.00) and 0.95 with the weights too (0.93 to
0.97). It rounds otherwise, so that sweeps begun before would end with other numbers.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from glad_ray.networks.layers import Classifier, convolution, linear, relu_then_max_pool
from glad_ray.spec.networks import alexnet


class AlexNet(Classifier):
    """Five convolutions, some with max pooling, and the linear layer."""

    def __init__(self, shape: alexnet.AlexNet) -> None:
        super().__init__()
        *convolutions, classifier = shape.layers
        self.conv1, self.conv2, self.conv3, self.conv4, self.conv5 = map(convolution, convolutions)
        self.pooled = [each.pool for each in convolutions]
        self.classifier = linear(classifier)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The flattened maps of the last convolution."""
        maps = images
        convolutions = self.conv1, self.conv2, self.conv3, self.conv4, self.conv5
        for convolve, pooled in zip(convolutions, self.pooled, strict=True):
            maps = relu_then_max_pool(convolve(maps)) if pooled else F.relu(convolve(maps))
        return maps.flatten(1)
