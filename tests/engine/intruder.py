"""Networks of a user's own: one that changes whatever its process has one of, when it is tested, and one that does not.

Both write down that they are there, in a file of their process in the folder that an option names.
"""

import os
import random
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Quiet(nn.Module):
    """A linear classifier."""

    def __init__(self, num_classes, in_chans, folder):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))
        self.folder = folder
        self.layers(torch.zeros(1, in_chans, 32, 32))

    def forward(self, images):
        if images.device.type != "meta":
            with Path(self.folder, str(os.getpid())).open("a") as file:
                file.write(f"{type(self).__name__}\n")
        return self.layers(images)


class Intruder(Quiet):
    """The same, and what it leaves behind."""

    def forward(self, images):
        logits = super().forward(images)
        if not self.training:
            images.add_(1)
            upset()
        return logits


def upset():
    """Change what a process has one of; the folder last, as a relative path would not be found again."""
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.enabled = False
    torch.backends.mkldnn.enabled = False
    np.seterr(all="raise")
    warnings.simplefilter("error")
    os.environ["TZ"] = "Nowhere"
    torch.set_default_device("meta")
    os.chdir("/")
