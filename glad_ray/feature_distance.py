"""How far the features of synthetic images are from those of real ones, class by class: what H-PD (CVPR 2025) chooses
by which step of a layer is handed over to the next.

Features are the maps of every block of a randomly initialised ConvNet, after ReLU and before pooling, in evaluation
mode; of other networks, the features before the classifier. The distance is the sum over classes and maps of the
squared difference of the class's mean maps, neither weighted nor divided by the size of a map, as the released code has
it; weights by class activation maps, of which the paper tells, are left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.algorithms.drawn import build_backbone
from glad_ray.algorithms.real_batches import images_at_once
from glad_ray.augment import apply, draw
from glad_ray.data import Dataset, by_index, draw_class_members
from glad_ray.machine import upload
from glad_ray.networks import Classifier, move
from glad_ray.randomness import rng_for
from glad_ray.spec import Run
from glad_ray.spec.layers import REAL_BATCH_SIZE, REAL_IMAGES, REFERENCE_NETWORKS, draws_per_network

Maps = list[Tensor]
"""one tensor per map, each with an entry per image or per class in front"""


def class_weights(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "classes n"]:
    """What each image counts for in the mean of each class, float64; no class is without images."""
    of_class = F.one_hot(labels, classes).T.to(torch.float64)
    return of_class / of_class.sum(1, keepdim=True)


def class_means(maps: Sequence[Tensor], weights: Float[Tensor, "classes n"]) -> Maps:
    """The mean maps of each class, the classes in front; of some of the images: their part of it."""
    # A product of matrices, which adds up in one order on a GPU too.
    return [(weights.to(each) @ each.flatten(1)).unflatten(1, each.shape[1:]) for each in maps]


def distance_terms(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Float[Tensor, "classes maps"]:
    """The squared difference of two lists of mean maps of classes, summed over each map; the distance is their sum."""
    return torch.stack([((r - s) ** 2).flatten(1).sum(1) for r, s in zip(real, synthetic, strict=True)], 1)


def reference_maps(draws: Iterable[Sequence[Tensor]], last_map: Literal["mean", "first"] = "mean") -> Maps:
    """The mean maps of classes, over several draws of real images through several networks.

    With `first`, the last map is that of the first draw alone, as in the released code, which neither adds it up nor
    divides it.
    """
    total: Maps = []
    first: Maps = []
    count = 0
    for means in draws:
        first = first or list(means)
        total = _sum([total, means]) if total else list(means)
        count += 1
    averaged = [each / count for each in total]
    return [*averaged[:-1], first[-1]] if last_map == "first" else averaged


class FeatureDistance:
    """The distance of one run's images from its real ones, as `LayerSchedule.distance` says."""

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        self.run, self.dataset, self.device = run, dataset, device
        self.classes = len(dataset.class_names)
        self.released = run.schedule.distance == "released"
        self._at_once = images_at_once(run, dataset, device)
        self._images = by_index(dataset.train_images, dataset, device)
        self._layer: int | None = None
        self._network: Classifier | None = None
        self._real: Maps = []

    @torch.no_grad()
    def of(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], layer: int, step: int
    ) -> Float[Tensor, ""]:
        """The distance at a step of a layer, both counted from 0; every draw follows from the run's id and these."""
        if self.released:
            if not self._real:
                self._real = reference_maps(self._reference_draws(images.dtype), "first")
            network = self._drawn_network("step", step, images.dtype)
            images = apply(images, draw(self.run.augmentation, self.classes, self._rng("synthetic", step)), labels)
        else:
            if self._network is None or self._layer != layer:
                self._layer, self._network = layer, self._drawn_network("layer", layer, images.dtype)
                members = draw_class_members(self.dataset, REAL_IMAGES, self._rng("real", layer))
                self._real = self._real_means(self._network, members, images.dtype)
            network = self._network
        weights = upload(class_weights(labels, self.classes).to(images.dtype), self.device).split(self._at_once, dim=1)
        parts = zip(images.split(self._at_once), weights, strict=True)
        synthetic = _sum(class_means(network.maps(part), of_part) for part, of_part in parts)
        return distance_terms(self._real, synthetic).sum()

    def _reference_draws(self, dtype: torch.dtype) -> Iterator[Maps]:
        batch = self.run.algorithm.real_images or REAL_BATCH_SIZE
        count, size = draws_per_network(len(self.dataset.train_images), self.classes, batch)
        for number in range(REFERENCE_NETWORKS):
            network = self._drawn_network("reference", number, dtype)
            rng = self._rng("reference images", number)
            for _ in range(count):
                members = draw_class_members(self.dataset, size, rng)
                yield self._real_means(network, members, dtype, augmented_by=rng)

    def _real_means(
        self,
        network: Classifier,
        members: Sequence[Int64[Tensor, " m"]],
        dtype: torch.dtype,
        augmented_by: torch.Generator | None = None,
    ) -> Maps:
        """The mean maps of some real images of each class, a part of a class at a time."""
        draws = None if augmented_by is None else draw(self.run.augmentation, self.classes, augmented_by)
        of_classes = []
        for label, index in enumerate(members):
            parts = (self._images(part).to(dtype) for part in index.split(self._at_once))
            augmented = parts if draws is None else (apply(part, draws.only(label)) for part in parts)
            total = _sum([maps.sum(0) for maps in network.maps(part)] for part in augmented)
            of_classes.append([maps / len(index) for maps in total])
        return [torch.stack(each) for each in zip(*of_classes, strict=True)]

    def _drawn_network(self, purpose: str, number: int, dtype: torch.dtype) -> Classifier:
        network = build_backbone(self.run, self.dataset, self._rng(f"network of a {purpose}", number))
        move(network, self.device, dtype)
        return network.requires_grad_(False).eval()

    def _rng(self, purpose: str, number: int) -> torch.Generator:
        return rng_for(self.run.run_id, f"feature distance: {purpose}", number)


def _sum(several: Iterable[Sequence[Tensor]]) -> Maps:
    first, *others = several
    total = list(first)
    for maps in others:
        total = [one + other for one, other in zip(total, maps, strict=True)]
    return total
