"""Gradient matching (DC): equation (1) of GLaD; Zhao et al., "Dataset Condensation with Gradient Matching", 2021.

Class by class, the gradient of the classification loss on synthetic images should point like the one on real
images, under a randomly initialised network. Both go through the same augmentation (DSA, Zhao and Bilen, 2021).

The paper's equation has one cosine over all parameters; its code sums a cosine per output row of every
convolution and linear weight and ignores biases and norm parameters: `cosine` is the paper's form, `layerwise` the
code's, and the default, for which the usual learning rates were made.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import apply
from glad_ray.data import Dataset
from glad_ray.machine import upload
from glad_ray.networks import Classifier, flat_parameters, load_flat_parameters, move, set_dropout_rng
from glad_ray.randomness import rng_for
from glad_ray.sgd import SGD
from glad_ray.spec import DC, Run
from glad_ray.training import train_epoch

_EPS = 1e-6


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

    def __init__(self, run: Run, dataset: Dataset, trajectories: None, device: torch.device) -> None:
        assert isinstance(run.algorithm, DC)
        self.run, self.settings, self.dataset, self.device = run, run.algorithm, dataset, device
        self.real = RealBatches(run, dataset, run.algorithm.real_batch_size, device)
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
        draws = draw_of_step(self.run, self.dataset, step, self.device)
        synthetic = images.detach().requires_grad_()
        augmented = apply(synthetic, draws, labels)

        loss = images.new_zeros(())
        members: list[Tensor] = []
        augmented_grads: list[Tensor] = []
        for label, (count, parts) in enumerate(self.real.of_step(network, step, draws, images.dtype)):
            target = _mean_gradient(network, parameters, parts, count, label)
            members.append((labels == label).nonzero().squeeze(1))
            leaf = augmented[upload(members[-1], self.device)].detach().requires_grad_()
            gradients = torch.autograd.grad(_loss(network, leaf, label) / len(leaf), parameters, create_graph=True)
            distance = gradient_distance(gradients, target, self.settings.matching)
            augmented_grads += torch.autograd.grad(distance, leaf)
            loss += distance.detach()
        in_order = upload(torch.cat(members).argsort(), self.device)
        (image_grads,) = torch.autograd.grad(augmented, synthetic, torch.cat(augmented_grads)[in_order])
        return Match(loss=loss, image_grads=image_grads)

    def _network_for(self, step: int, images: Tensor, labels: Tensor) -> Classifier:
        """A new network at the first outer loop; at later ones the last, trained on the images as they are now."""
        index, loop = divmod(step, self.outer_loops)
        if self.network is None or loop == 0:
            self.network = build_backbone(self.run, self.dataset, rng_for(self.run.run_id, "network", index))
            move(self.network, self.device, images.dtype)
        set_dropout_rng(self.network, rng_for(self.run.run_id, "dropout", step))
        if loop > 0:
            optimiser = SGD(self.network.parameters(), self.settings.network_lr)
            rng = rng_for(self.run.run_id, "inner loop", step)
            for _ in range(self.inner_loops):
                train_epoch(
                    self.network,
                    optimiser,
                    lambda batch: images[upload(batch, self.device)],
                    upload(labels, self.device),
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
            network = build_backbone(self.run, self.dataset, None)
            self.network = network.to(self.device, state["network"].dtype)
            load_flat_parameters(self.network, state["network"])


def _mean_gradient(
    network: nn.Module,
    parameters: list[nn.Parameter],
    parts: Iterable[Float[Tensor, "b c h w"]],
    count: int,
    label: int,
) -> list[Tensor]:
    """Gradient of the mean cross-entropy of one class's `count` real images, added up over parts of them."""
    total: list[Tensor] | None = None
    for part in parts:
        gradients = torch.autograd.grad(_loss(network, part, label) / count, parameters)
        if total is None:
            total = [g.clone() for g in gradients]
        else:
            torch._foreach_add_(total, list(gradients))
    assert total is not None, "every class has images"
    return total


def _loss(network: nn.Module, images: Float[Tensor, "b c h w"], label: int) -> Float[Tensor, ""]:
    """Cross-entropy of images of one class, summed."""
    targets = torch.full((len(images),), label, device=images.device)
    return F.cross_entropy(network(images), targets, reduction="sum")
