"""Data and experts for steps of a real size, of which sizes alone count: black images, and parameters never trained."""

import numpy as np
import torch

from glad_ray.data import Dataset
from glad_ray.networks import build_network, flat_parameters

REAL_IMAGES = 256


def black_images(pixels):
    """Ten classes of as many images in colour as a step draws of each."""
    images = np.zeros((10 * REAL_IMAGES, 3, pixels, pixels), np.uint8)
    labels = np.repeat(np.arange(10), REAL_IMAGES)
    return Dataset(
        name="black",
        train_images=images,
        train_labels=labels,
        held_out_images=images[:0],
        held_out_labels=labels[:0],
        test_images=images[:0],
        test_labels=labels[:0],
        class_names=tuple("abcdefghij"),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


class Untrained:
    """Experts that were never trained."""

    def __init__(self, run):
        self.expert_set = run.expert_set
        rng = torch.Generator().manual_seed(0)
        network = build_network(run.backbone, channels=3, resolution=run.pixels, classes=10, rng=rng)
        self.parameters = flat_parameters(network)

    def segment(self, expert, start_epoch, epochs):
        return self.parameters, self.parameters + 1

    def expect(self, expert, start_epoch, epochs):
        pass
