"""The real images of a step, class by class, augmented, in parts whose activations fit into a bounded memory.

The means over a class's images (DM's features, DC's gradients) are added up over the parts, so the size of a part
changes nothing but rounding. Whole batches would hold 43 GB of maps for DM with 256 images in each of ten classes at
128 pixels, and 172 GB at 256 (ConvNet of width 128).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glad_ray.augment import Draw, apply
from glad_ray.data import Dataset, by_index, draw_class_members
from glad_ray.networks import activation_bytes, batch_sizes
from glad_ray.randomness import rng_for
from glad_ray.spec import REAL_BATCH_BYTES, Run

CPU_IMAGES = 32
"""images a part on a CPU: what stays in its cache is faster than a whole batch"""


class RealBatches:
    """The real images that the steps of one run see; `per_class` of each class, or all where there are fewer."""

    def __init__(self, run: Run, dataset: Dataset, per_class: int, device: torch.device) -> None:
        self.run_id, self.dataset, self.per_class, self.device = run.run_id, dataset, per_class, device
        self._images = by_index(dataset.train_images, dataset, device)
        self._part_images = images_at_once(run, dataset, device)

    def of_step(
        self, network: nn.Module, step: int, draws: Draw, dtype: torch.dtype
    ) -> Iterator[tuple[int, Iterator[Float[Tensor, "b c h w"]]]]:
        """Of each class in turn: how many images there are, and these in parts that `network` can take, augmented with
        the class's set of `draws`.
        """
        members = draw_class_members(self.dataset, self.per_class, rng_for(self.run_id, "real", step))
        for label, index in enumerate(members):
            yield len(index), self._parts(network, index, draws.only(label), dtype)

    def _parts(
        self, network: nn.Module, index: Tensor, draws: Draw, dtype: torch.dtype
    ) -> Iterator[Float[Tensor, "b c h w"]]:
        sizes = batch_sizes(network, lambda: self._images(index[:1]).to(dtype), len(index), self._part_images)
        for part in index.split(sizes):
            yield apply(self._images(part).to(dtype), draws)


def images_at_once(run: Run, dataset: Dataset, device: torch.device) -> int:
    """How many real images go through the backbone at a time; at least one."""
    if device.type == "cpu":
        return CPU_IMAGES
    classes, (channels, resolution) = len(dataset.class_names), dataset.train_images.shape[1:3]
    one = activation_bytes(run.backbone, channels=channels, resolution=resolution, classes=classes)
    return max(1, REAL_BATCH_BYTES // one)
