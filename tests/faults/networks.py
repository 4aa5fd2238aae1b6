"""Networks whose trainings go wrong, though they can be built and tried."""

import time
from pathlib import Path

import torch
from torch import nn

_TRIED = 2  # images that a network is given before a sweep starts


def hangs(num_classes, in_chans, folder, times):
    """A linear network whose first trainings do not come to an end."""
    return nn.Sequential(_Hangs(Path(folder), times), *_linear(num_classes, in_chans))


def not_finite(num_classes, in_chans):
    """A linear network that loses its numbers in training."""
    return nn.Sequential(_NotFinite(), *_linear(num_classes, in_chans))


def _linear(num_classes, in_chans):
    return nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_chans, num_classes)


class _Hangs(nn.Module):
    def __init__(self, folder, times):
        super().__init__()
        self.folder, self.times = folder, times

    def forward(self, images):
        begun = len(list(self.folder.iterdir()))
        if len(images) > _TRIED and begun < self.times:
            (self.folder / str(begun)).touch()
            time.sleep(3600)
        return images


class _NotFinite(nn.Module):
    def forward(self, images):
        return images * torch.nan if self.training and len(images) > _TRIED else images
