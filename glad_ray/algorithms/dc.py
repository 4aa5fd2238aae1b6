"""Gradient matching (DC): equation (1) of GLaD; Zhao et al., "Dataset Condensation with Gradient Matching", 2021.

Class by class, the gradient of the classification loss on synthetic images should point like the one on real
images, under a randomly initialised network. Both go through the same augmentation (DSA, Zhao and Bilen, 2021).

The paper's equation has one cosine over all parameters; its code sums a cosine per output row of every
convolution and linear weight and ignores biases and norm parameters. `layerwise` is the code's form and the default.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import Match
from glad_ray.augment import apply, draw
from glad_ray.data import Dataset, sample_class_batches
from glad_ray.networks import (
    Classifier,
    batch_sizes,
    build_network,
    flat_parameters,
    load_flat_parameters,
    set_dropout_rng,
)
from glad_ray.randomness import rng_for
from glad_ray.spec import DC, Run
from glad_ray.training import train_epoch

_EPS = 1e-6
_MICRO_BATCH_CPU = 32  # real images per pass: what stays in cache is faster than a whole batch


def gradient_distance(
    synthetic: Sequence[Tensor], real: Sequence[Tensor], form: Literal["layerwise", "cosine", "squared"]
) -> Float[Tensor, ""]:
    """How far two lists of parameter gradients are apart, in one of DC's three forms (0: same direction)."""
    if form == "squared":
        return torch.stack([((s - r) ** 2).sum() for s, r in zip(synthetic, real, strict=True)]).sum()
    if form == "cosine":
        flat_s, flat_r = (torch.cat([g.flatten() for g in gradients]) for gradients in (synthetic, real))
        return 1 - flat_s @ flat_r / (flat_s.norm() * flat_r.norm() + _EPS)
    distance = synthetic[0].new_zeros(())
    for s, r in zip(synthetic, real, strict=True):
        if s.ndim in (2, 4):
            s, r = s.flatten(1), r.flatten(1)
            distance = distance + (1 - (s * r).sum(1) / (s.norm(dim=1) * r.norm(dim=1) + _EPS)).sum()
    return distance


class GradientMatching:
    """DC bound to one run: outer loops match on one network, which is trained on the images in between."""

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        assert isinstance(run.algorithm, DC)
        self.run, self.settings, self.dataset, self.device = run, run.algorithm, dataset, device
        self.outer_loops, self.inner_loops = run.algorithm.loops(run.images_per_class)
        self.network: Classifier | None = None

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """The distance of gradients, summed over classes, and its gradient with respect to the images; computed in
        their precision.
        """
        network = self._network_for(step, images, labels)
        parameters = list(network.parameters())
        real, real_labels = sample_class_batches(
            self.dataset, self.settings.real_batch_size, rng_for(self.run.run_id, "real", step), self.device
        )
        # One operation and one set of parameters per class, shared by its real and its synthetic images.
        draws = draw(
            self.run.augmentation,
            len(self.dataset.class_names),
            rng_for(self.run.run_id, "augmentation", step),
        )
        real = apply(real.to(images.dtype), draws, real_labels)
        synthetic = images.detach().requires_grad_()
        augmented = apply(synthetic, draws, labels)

        loss = images.new_zeros(())
        augmented_grads = torch.empty_like(augmented)
        for label in range(len(self.dataset.class_names)):
            target = _mean_gradient(network, parameters, real[real_labels == label], label)
            chosen = labels == label
            leaf = augmented[chosen].detach().requires_grad_()
            logits = network(leaf)
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels[chosen]), parameters, create_graph=True)
            distance = gradient_distance(gradients, target, self.settings.matching)
            (augmented_grads[chosen],) = torch.autograd.grad(distance, leaf)
            loss += distance.detach()
        (image_grads,) = torch.autograd.grad(augmented, synthetic, augmented_grads)
        return Match(loss=loss, image_grads=image_grads)

    def _network_for(self, step: int, images: Tensor, labels: Tensor) -> Classifier:
        """A new network at the first outer loop; at later ones the last, trained on the images as they are now."""
        index, loop = divmod(step, self.outer_loops)
        if self.network is None or loop == 0:
            self.network = build_network(
                self.run.backbone,
                channels=images.shape[1],
                resolution=images.shape[-1],
                classes=len(self.dataset.class_names),
                rng=rng_for(self.run.run_id, "network", index),
            ).to(self.device, images.dtype)
        set_dropout_rng(self.network, rng_for(self.run.run_id, "dropout", step))
        if loop > 0:
            optimiser = torch.optim.SGD(self.network.parameters(), lr=self.settings.network_lr)
            rng = rng_for(self.run.run_id, "inner loop", step)
            for _ in range(self.inner_loops):
                train_epoch(
                    self.network,
                    optimiser,
                    lambda batch: images[batch],
                    labels,
                    batch_size=256,
                    augmentation=self.run.augmentation,
                    rng=rng,
                )
        return self.network

    def state(self) -> dict[str, Tensor]:
        """The network, where later steps go on training it."""
        if self.network is None or self.outer_loops == 1:
            return {}
        return {"network": flat_parameters(self.network)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        if "network" in state:
            images = self.dataset.train_images
            self.network = build_network(
                self.run.backbone,
                channels=images.shape[1],
                resolution=images.shape[-1],
                classes=len(self.dataset.class_names),
                rng=None,
            ).to(self.device, state["network"].dtype)
            load_flat_parameters(self.network, state["network"])


def _mean_gradient(
    network: nn.Module, parameters: list[nn.Parameter], images: Float[Tensor, "n c h w"], label: int
) -> list[Tensor]:
    """Gradient of the mean cross-entropy of one class's real images, accumulated over micro-batches."""
    size = _MICRO_BATCH_CPU if images.device.type == "cpu" else len(images)
    total: list[Tensor] | None = None
    for chunk in images.split(batch_sizes(network, lambda: images[:1], len(images), size)):
        targets = torch.full((len(chunk),), label, device=images.device)
        loss = F.cross_entropy(network(chunk), targets, reduction="sum") / len(images)
        gradients = torch.autograd.grad(loss, parameters)
        if total is None:
            total = [g.clone() for g in gradients]
        else:
            torch._foreach_add_(total, list(gradients))
    assert total is not None, "every class has images"
    return total
