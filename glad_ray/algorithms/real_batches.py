"""The real images of a step, augmented, in parts whose activations fit into a bounded memory: class by class, or of
several classes at once.

The means over a class's images (DM's features, DC's gradients) are added up over the parts, so the size of a part
changes nothing but rounding. Whole batches would hold 43 GB of maps for DM with 256 images in each of ten classes at
128 pixels, and 172 GB at 256 (ConvNet of width 128).
"""

import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.augment import Draw, apply
from glad_ray.clustering import clustered_rows, features_of
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
_CHOSEN = "real_images"
"""in the state of an algorithm"""


class RealBatches:
    """The real images that the steps of one run see; `per_class` of each class, or all where there are fewer.

    They are drawn at every step, or chosen by clusters every few iterations (`choose`), if the run's settings say so.
    """

    def __init__(self, run: Run, dataset: Dataset, per_class: int, device: torch.device) -> None:
        self.run_id, self.dataset, self.per_class, self.device = run.run_id, dataset, per_class, device
        self._backbone = run.backbone
        self._images = by_index(dataset.train_images, dataset, device)
        self.at_once = images_at_once(run, dataset, device)
        """how many images the backbone takes in one call, so that their activations fit into memory"""
        self._clustered_every = run.algorithm.clustered_every
        self._chosen: list[Int64[Tensor, " m"] | None] = [None] * len(dataset.class_names)
        """of each class, where they are chosen by clusters"""
        self._augmented_at_once = AUGMENTED_BYTES // (4 * math.prod(dataset.train_images.shape[1:]))

    def classes_together(self, network: Classifier) -> bool:
        """Whether several classes are to go through a network at once: where that is fast, unless the network mixes the
        images of a batch or draws numbers for it.
        """
        mixes = self._backbone.foreign or self._backbone.norm == "batchnorm" or isinstance(network, DrawingClassifier)
        return together_is_fast(self.device) and not mixes

    def choose(self, network: Classifier, iteration: int, labels: Iterable[int] | None = None) -> None:
        """Where real images are chosen by clusters, choose those of some classes, or all, if it is time to: every
        `clustered_every` iterations, by features of `network`, as DREAM does it. It is called before they are asked
        for.
        """
        if self._clustered_every is None or iteration % self._clustered_every:
            return
        for label in range(len(self._chosen)) if labels is None else labels:
            members = torch.from_numpy(self.dataset.class_indices[label])
            rng = rng_for(self.run_id, "clusters", iteration, label)
            features = features_of(network, self._images, members, self.at_once)
            self._chosen[label] = members[clustered_rows(features, min(self.per_class, len(members)), rng)]

    def state(self) -> dict[str, Tensor]:
        """What was chosen for later steps too; nothing where every step draws its own."""
        if all(chosen is None for chosen in self._chosen):
            return {}
        counts = [min(self.per_class, len(members)) for members in self.dataset.class_indices]
        kept = zip(self._chosen, counts, strict=True)
        return {_CHOSEN: torch.cat([torch.full((n,), -1) if chosen is None else chosen for chosen, n in kept])}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        if _CHOSEN in state:
            counts = [min(self.per_class, len(members)) for members in self.dataset.class_indices]
            parts = state[_CHOSEN].cpu().split(counts)
            self._chosen = [None if len(part) and part[0] < 0 else part for part in parts]

    def _members(self, step: int) -> list[Int64[Tensor, " m"]]:
        """The images of a step by class."""
        if self._clustered_every is None:
            return draw_class_members(self.dataset, self.per_class, rng_for(self.run_id, "real", step))
        chosen = [each for each in self._chosen if each is not None]
        assert len(chosen) == len(self._chosen), "choose is called first"
        return chosen

    def of_class(
        self, network: nn.Module, label: int, step: int, draws: Draw, dtype: torch.dtype
    ) -> tuple[int, Iterator[Float[Tensor, "b c h w"]]]:
        """Of one class: how many images there are at a step, and these as `of_step` gives them; the images are others
        than those of `of_step`.
        """
        index = self._chosen[label]
        if self._clustered_every is None or index is None:
            assert self._clustered_every is None, "choose is called first"
            members = torch.from_numpy(self.dataset.class_indices[label])
            order = torch.randperm(len(members), generator=rng_for(self.run_id, "real", step, label))
            index = members[order[: self.per_class]]
        return len(index), self._parts(network, index, draws.only(label), dtype)

    def of_step(
        self, network: nn.Module, step: int, draws: Draw, dtype: torch.dtype
    ) -> Iterator[tuple[int, Iterator[Float[Tensor, "b c h w"]]]]:
        """Of each class in turn: how many images there are, and these in parts that `network` can take, augmented with
        the class's set of `draws`.
        """
        members = self._members(step)
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
        members = self._members(step)
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
