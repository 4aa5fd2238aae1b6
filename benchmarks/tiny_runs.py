"""The sweep of `many_runs.py`: random real images of the bundled sample, scored by four tiny networks in an epoch each.

Each network writes a line to a file when its training begins, so that trainings are counted whatever becomes of them.
How many runs there are, and where that file lies, is told by the environment.
"""

import os
from pathlib import Path

from torch import Tensor, nn

from glad_ray.spec import Evaluation, Network, RandomReal, Run, Sweep

RUNS, BEGUN = "TINY_RUNS", "TINY_RUNS_BEGUN"
WIDTHS = (2, 4, 6, 8)
_TRIED_IMAGES = 2  # that a network is given before a sweep starts


def sweep(runs: int | None = None) -> Sweep:
    """So many runs, which differ in their seeds; None: as many as the environment says."""
    seeds = range(int(os.environ[RUNS]) if runs is None else runs)
    base = Run(algorithm=RandomReal(), backbone=Network(width=4))
    networks = tuple(Network(name="tiny_runs:counted_network", options={"width": width}) for width in WIDTHS)
    return Sweep(
        name="many",
        runs=tuple(base.replace(seed=seed) for seed in seeds),
        evaluations=Evaluation(networks=networks, repeats=1, epochs=1, test_images=100),
    )


def counted_network(num_classes: int, in_chans: int, width: int) -> nn.Module:
    """One convolution of `width` channels and a linear layer, whose training is counted."""
    return nn.Sequential(
        _Counted(),
        nn.Conv2d(in_chans, width, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * width, num_classes),
    )


class _Counted(nn.Module):
    """Counts passes in training, of which a training has one: its one epoch is one batch."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) > _TRIED_IMAGES:
            with Path(os.environ[BEGUN]).open("a") as file:
                file.write("begun\n")
        return images
