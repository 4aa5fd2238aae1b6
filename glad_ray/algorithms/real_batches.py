"""The real images of a step, augmented, in parts whose activations fit into a bounded memory: class by class, or of
several classes at once.

The means over a class's images (DM's features, DC's gradients) are added up over the parts, so the size of a part
changes nothing but rounding. Whole batches would hold 43 GB of maps for DM with 256 images in each of ten classes at
128 pixels, and 172 GB at 256 (ConvNet of width 128).
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import Draw, apply
from glad_ray.data import Dataset, by_index, draw_class_members
from glad_ray.machine import upload
from glad_ray.networks import Classifier, activation_bytes, batch_sizes
from glad_ray.networks.layers import DrawingClassifier
from glad_ray.randomness import rng_for
from glad_ray.spec import REAL_BATCH_BYTES, Run

AUGMENTED_BYTES = 2**28
"""memory for images of several classes that are augmented in one call"""
CPU_IMAGES = 32
"""images a part on a CPU: what stays in its cache is faster than a whole batch. On a busy machine, whose cache others
fill, DM took 0.94 of the CPU seconds with parts of 64 or 256 and 1.03 with 16 (two rounds in turn): too little measured
to change how runs that are under way round."""


class RealBatches:
    """The real images that the steps of one run see; `per_class` of each class, or all where there are fewer."""

    def __init__(self, run: Run, dataset: Dataset, per_class: int, device: torch.device) -> None:
        self.run_id, self.dataset, self.per_class, self.device = run.run_id, dataset, per_class, device
        self._backbone = run.backbone
        self._images = by_index(dataset.train_images, dataset, device)
        self.at_once = images_at_once(run, dataset, device)
        """how many images the backbone takes in one call, so that their activations fit into memory"""
        self._augmented_at_once = AUGMENTED_BYTES // (4 * math.prod(dataset.train_images.shape[1:]))

    def classes_together(self, network: Classifier) -> bool:
        """Whether several classes are to go through a network at once: where that is fast, unless the network mixes the
        images of a batch or draws numbers for it.
        """
        mixes = self._backbone.foreign or self._backbone.norm == "batchnorm" or isinstance(network, DrawingClassifier)
        return together_is_fast(self.device) and not mixes

    def of_step(
        self, network: nn.Module, step: int, draws: Draw, dtype: torch.dtype
    ) -> Iterator[tuple[int, Iterator[Float[Tensor, "b c h w"]]]]:
        """Of each class in turn: how many images there are, and these in parts that `network` can take, augmented with
        the class's set of `draws`.
        """
        members = draw_class_members(self.dataset, self.per_class, rng_for(self.run_id, "real", step))
        for label, index in enumerate(members):
            yield len(index), self._parts(network, index, draws.only(label), dtype)

    def of_classes_together(
        self, step: int, draws: Draw, dtype: torch.dtype, *, classes: int
    ) -> Iterator[tuple[Int64[Tensor, " k"], Iterator[tuple[Float[Tensor, "b k c h w"], Float[Tensor, "b k"]]]]]:
        """The same images, of `classes` classes at a time: the labels of these, on the CPU, and their images in parts.

        A part has as many images of one class as of another, at most `at_once` in all, and a weight for each image: the
        weighted sum over a class's parts is the mean over its images. A class with fewer images than another is filled
        up with images of weight 0.
        """
        members = draw_class_members(self.dataset, self.per_class, rng_for(self.run_id, "real", step))
        most = max(map(len, members))
        index = torch.stack([torch.cat([own, own[:1].expand(most - len(own))]) for own in members], 1)
        counts = torch.tensor([len(own) for own in members])
        weights = (torch.arange(most)[:, None] < counts).to(dtype) / counts

        def parts(labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
            several, size = (max(1, count // len(labels)) for count in (self._augmented_at_once, self.at_once))
            for chosen, weight in zip(index[:, labels].split(several), weights[:, labels].split(several), strict=True):
                images = apply(self._images(chosen.flatten()).to(dtype), draws, labels.repeat(len(chosen)))
                split = images.unflatten(0, chosen.shape).split(size)
                yield from zip(split, upload(weight, self.device).split(size), strict=True)

        for labels in torch.arange(len(members)).split(classes):
            yield labels, parts(labels)

    def _parts(
        self, network: nn.Module, index: Tensor, draws: Draw, dtype: torch.dtype
    ) -> Iterator[Float[Tensor, "b c h w"]]:
        sizes = batch_sizes(network, lambda: self._images(index[:1]).to(dtype), len(index), self.at_once)
        for part in index.split(sizes):
            yield apply(self._images(part).to(dtype), draws)


def together_is_fast(device: torch.device) -> bool:
    """Whether several classes are faster together: on a GPU, which one class leaves idle; a CPU takes longer."""
    return device.type == "cuda"


def images_at_once(run: Run, dataset: Dataset, device: torch.device) -> int:
    """How many real images go through the backbone at a time; at least one."""
    if device.type == "cpu":
        return CPU_IMAGES
    classes, (channels, resolution) = len(dataset.class_names), dataset.train_images.shape[1:3]
    one = activation_bytes(run.backbone, channels=channels, resolution=resolution, classes=classes)
    return max(1, REAL_BATCH_BYTES // one)
