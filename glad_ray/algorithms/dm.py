"""Distribution matching (DM): equation (2) of GLaD; Zhao and Bilen, "Dataset Condensation with Distribution
Matching", 2023.

Class by class, the mean feature of synthetic images under a randomly initialised network should be that of real
ones; a new network every step. Both go through the same augmentation.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import Draw, apply
from glad_ray.data import Dataset
from glad_ray.machine import upload
from glad_ray.networks import Classifier, move
from glad_ray.randomness import rng_for
from glad_ray.spec import DM, Run


def feature_distance(real_means: Float[Tensor, "k d"], synthetic_means: Float[Tensor, "k d"]) -> Float[Tensor, ""]:
    """Equation (2): the squared distance of the mean features, summed over classes."""
    return ((real_means - synthetic_means) ** 2).sum()


def class_means(features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "k d"]:
    """Mean feature of every class; `labels` on the CPU, all classes among them."""
    members = torch.nn.functional.one_hot(labels, classes).to(features.dtype)
    return upload((members / members.sum(0)).T, features.device) @ features


class DistributionMatching:
    """DM bound to one run."""

    def __init__(self, run: Run, dataset: Dataset, trajectories: None, device: torch.device) -> None:
        assert isinstance(run.algorithm, DM)
        self.run, self.dataset, self.device = run, dataset, device
        self.real = RealBatches(run, dataset, run.algorithm.real_batch_size, device)

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """Equation (2) and its gradient with respect to the images; computed in their precision."""
        network = build_backbone(self.run, self.dataset, rng_for(self.run.run_id, "network", step))
        move(network.requires_grad_(False), self.device, images.dtype)
        self.real.choose(network, step)
        draws = draw_of_step(self.run, self.dataset, step)
        real_means = self._real_means(network, step, draws, images.dtype)
        synthetic = images.detach().requires_grad_()
        features = network.embed(apply(synthetic, draws, labels))
        loss = feature_distance(real_means, class_means(features, labels, len(self.dataset.class_names)))
        (image_grads,) = torch.autograd.grad(loss, synthetic)
        return Match(loss=loss.detach(), image_grads=image_grads)

    @torch.no_grad()
    def _real_means(self, network: Classifier, step: int, draws: Draw, dtype: torch.dtype) -> Float[Tensor, "k d"]:
        if not self.real.classes_together(network):
            return torch.stack([
                torch.stack([network.embed(part).sum(0) for part in parts]).sum(0) / count
                for count, parts in self.real.of_step(network, step, draws, dtype)
            ])  # fmt: skip
        classes = len(self.dataset.class_names)
        ((_, parts),) = self.real.of_classes_together(step, draws, dtype, classes=classes)
        means: Tensor | None = None
        for images, weights in parts:
            features = network.embed(images.flatten(0, 1)).unflatten(0, weights.shape).transpose(0, 1)
            of_class = weights.T.unsqueeze(1)
            means = of_class @ features if means is None else means.baddbmm(of_class, features)
        assert means is not None, "every class has images"
        return means.squeeze(1)

    def state(self) -> dict[str, Tensor]:
        """Real images that were chosen for later steps too."""
        return self.real.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.real.load_state(state)
