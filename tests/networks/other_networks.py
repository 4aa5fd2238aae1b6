"""Networks of another package, as the tests of foreign networks name them: made as timm makes its own."""

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

NUMBER = 3
BUILT_ON: list[str] = []
"""devices of the networks that `small` made"""


def small(num_classes, in_chans, width=4, drop_rate=0.5):
    """A convolution, batch norm, dropout, and means that are classified."""
    network = nn.Sequential(
        nn.Conv2d(in_chans, width, 3, stride=2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(drop_rate),
        nn.Linear(width, num_classes),
    )
    BUILT_ON.append(network[0].weight.device.type)
    return network


def reads_its_values(num_classes, in_chans, width=4):
    """The same, with a layer as deep in dropout as a tensor says: nothing for the meta device."""
    return small(num_classes, in_chans, width, drop_rate=torch.linspace(0, 0.5, 3)[1].item())


def draws_elsewhere(num_classes, in_chans):
    """Parameters from NumPy's and Python's global generators."""
    network = small(num_classes, in_chans)
    with torch.no_grad():
        network[6].weight.copy_(torch.from_numpy(np.random.rand(num_classes, 4)))
        network[6].bias.fill_(random.random())
    return network


class Outputs(NamedTuple):
    logits: Tensor
    aux_logits: Tensor


class WithAuxiliaryHead(nn.Module):
    """Two outputs in training and one in evaluation, and the head needs images of 16 pixels."""

    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.network = small(num_classes, in_chans)
        self.head = nn.Sequential(nn.Conv2d(in_chans, num_classes, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        logits = self.network(images)
        return Outputs(logits, self.head(images)) if self.training else logits


def six_classes_too_many(num_classes, in_chans):
    return small(num_classes + 6, in_chans)


def maps_instead(num_classes, in_chans):
    return nn.Conv2d(in_chans, num_classes, 3)


class Mapping(nn.Module):
    def __init__(self, num_classes, in_chans):
        super().__init__()

    def forward(self, images):
        return {"out": images}


def not_a_module(num_classes, in_chans):
    return [num_classes, in_chans]


def without_channels(num_classes):
    return small(num_classes, 1)


def normalises_means(num_classes, in_chans):
    """Batch norm after global pooling, where one image gives one value a channel."""
    layers = [nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4)]
    return nn.Sequential(*layers, nn.Linear(4, num_classes))


class Squeezing(nn.Module):
    """Loses the dimension of the batch where that is of one image."""

    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_chans, num_classes, 3), nn.AdaptiveAvgPool2d(1))

    def forward(self, images):
        return self.layers(images).squeeze()


def squeezes(num_classes, in_chans):
    return Squeezing(num_classes, in_chans)
