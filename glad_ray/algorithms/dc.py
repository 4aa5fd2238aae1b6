"""Gradient matching (DC): equation (1) of GLaD; Zhao et al., "Dataset Condensation with Gradient Matching", 2021.

Class by class, the gradient of the classification loss on synthetic images should point like the one on real
images, under a randomly initialised network. Both go through the same augmentation (DSA, Zhao and Bilen, 2021).

The paper's equation has one cosine over all parameters; its code sums a cosine per output row of every
convolution and linear weight and ignores biases and norm parameters: `cosine` is the paper's form, `layerwise` the
code's, and the default, for which the usual learning rates were made.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import Draw, apply
from glad_ray.data import Dataset
from glad_ray.machine import upload
from glad_ray.networks import Classifier, flat_parameters, load_flat_parameters, move, set_dropout_rng
from glad_ray.optimisers.sgd import SGD
from glad_ray.randomness import rng_for
from glad_ray.spec import DC, Run
from glad_ray.training import train_epoch
from glad_ray.vector_jacobian import vector_jacobian

_EPS = 1e-6
_SECOND_ORDER_IMAGES = 4
"""A synthetic image is given the memory of so many real ones, since the graph of its gradients is kept."""


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


def distance_of_classes(
    synthetic: Sequence[Tensor], real: Sequence[Tensor], form: Literal["layerwise", "cosine", "squared"]
) -> Float[Tensor, ""]:
    """The sum over classes of their gradients' distances; the gradients have the classes in front."""
    if form == "cosine":
        flat_s, flat_r = (torch.cat([g.flatten(1) for g in gradients], 1) for gradients in (synthetic, real))
        return (1 - (flat_s * flat_r).sum(1) / (flat_s.norm(dim=1) * flat_r.norm(dim=1) + _EPS)).sum()
    # Both are sums over rows of parameters.
    return gradient_distance([g.flatten(0, 1) for g in synthetic], [g.flatten(0, 1) for g in real], form)


def is_compared(parameter: Tensor, form: Literal["layerwise", "cosine", "squared"]) -> bool:
    """Whether the distance of gradients depends on that of this parameter."""
    return form != "layerwise" or parameter.ndim in (2, 4)


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
        self.real.choose(network, step)
        draws = draw_of_step(self.run, self.dataset, step)
        synthetic = images.detach().requires_grad_()
        augmented = apply(synthetic, draws, labels)

        loss = images.new_zeros(())
        order = labels.argsort(stable=True)
        augmented_grads: list[Tensor] = []
        for leaf, distance in self._distances(network, augmented[upload(order, self.device)], labels, step, draws):
            augmented_grads += torch.autograd.grad(distance, leaf)
            loss += distance.detach()
        in_order = upload(order.argsort(), self.device)
        (image_grads,) = vector_jacobian(augmented, torch.cat(augmented_grads)[in_order], (synthetic,))
        return Match(loss=loss, image_grads=image_grads)

    def _distances(
        self,
        network: Classifier,
        augmented: Float[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        step: int,
        draws: Draw,
    ) -> Iterator[tuple[Float[Tensor, "m c h w"], Float[Tensor, ""]]]:
        """The synthetic images, class after class, in parts, each with its distance as a function of it."""
        per_class = labels.bincount(minlength=len(self.dataset.class_names)).tolist()
        together = classes_at_once(self.real, network, per_class)
        if together > 1:
            yield from self._of_classes_together(network, augmented, per_class[0], together, step, draws)
            return
        parameters = list(network.parameters())
        of_real = self.real.of_step(network, step, draws, augmented.dtype)
        for part, (label, (count, parts)) in zip(augmented.split(per_class), enumerate(of_real), strict=True):
            target = _mean_gradient(network, parameters, parts, count, label)
            leaf = part.detach().requires_grad_()
            gradients = torch.autograd.grad(_loss(network, leaf, label) / len(leaf), parameters, create_graph=True)
            yield leaf, gradient_distance(gradients, target, self.settings.matching)

    def _of_classes_together(
        self,
        network: Classifier,
        augmented: Float[Tensor, "n c h w"],
        images_per_class: int,
        together: int,
        step: int,
        draws: Draw,
    ) -> Iterator[tuple[Float[Tensor, "m c h w"], Float[Tensor, ""]]]:
        """The same, of `together` classes at once."""
        form = self.settings.matching
        compared = [is_compared(parameter, form) for parameter in network.parameters()]
        of_real = self.real.of_classes_together(step, draws, augmented.dtype, classes=together)
        parts = augmented.unflatten(0, (-1, images_per_class)).split(together)
        for part, (labels, real) in zip(parts, of_real, strict=True):
            parameters = of_classes(network, len(labels), compared)
            targets = _sum(class_gradients(network, parameters, *images, labels) for images in real)
            leaf = part.flatten(0, 1).detach().requires_grad_()
            equal = leaf.new_full((images_per_class, len(labels)), 1 / images_per_class)
            gradients = class_gradients(network, parameters, leaf.view_as(part).transpose(0, 1), equal, labels)
            yield leaf, distance_of_classes(gradients, targets, form)

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
        """The network, where later steps go on training it, and real images that were chosen for them."""
        if self.network is None or self.outer_loops == 1:
            return self.real.state()
        return self.real.state() | {"network": flat_parameters(self.network)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.real.load_state(state)
        if "network" in state:
            network = build_backbone(self.run, self.dataset, None)
            self.network = network.to(self.device, state["network"].dtype)
            load_flat_parameters(self.network, state["network"])


def classes_at_once(real: RealBatches, network: Classifier, images_per_class: Sequence[int]) -> int:
    """How many classes go through a network at once: as many as fit into memory if the real images of several may, and
    one if the classes have different numbers of synthetic images.
    """
    if not real.classes_together(network) or len(set(images_per_class)) > 1:
        return 1
    return min(real.at_once // (_SECOND_ORDER_IMAGES * images_per_class[0]), len(images_per_class))


def of_classes(network: nn.Module, classes: int, compared: Sequence[bool]) -> dict[str, Tensor]:
    """The parameters by name, as `class_gradients` takes them: those that are compared seen once for each class."""
    return {
        name: parameter.detach().expand(classes, *parameter.shape).requires_grad_() if seen else parameter.detach()
        for (name, parameter), seen in zip(network.named_parameters(), compared, strict=True)
    }


def class_gradients(
    network: nn.Module,
    parameters: dict[str, Tensor],
    images: Float[Tensor, "b k c h w"],
    weights: Float[Tensor, "b k"],
    labels: Int64[Tensor, " k"],
) -> list[Tensor]:
    """For each parameter that is there for each class, the gradients of every class's sum of its images'
    cross-entropies times their weights, with the classes in front; can be differentiated in the images.
    """
    with torch.enable_grad():
        logits = torch.func.functional_call(network, parameters, (images.flatten(0, 1),))
        truth = F.one_hot(labels.repeat(len(images)), logits.shape[1]).to(logits.dtype)
        # The gradient of the logits, written out: it is differentiated in fewer operations than that of the loss.
        of_logits = (logits.softmax(1) - upload(truth, logits.device)) * weights.reshape(-1, 1)
        compared = [parameter for parameter in parameters.values() if parameter.requires_grad]
        return list(torch.autograd.grad(logits, compared, of_logits, create_graph=images.requires_grad))


def _mean_gradient(
    network: nn.Module,
    parameters: list[nn.Parameter],
    parts: Iterable[Float[Tensor, "b c h w"]],
    count: int,
    label: int,
) -> list[Tensor]:
    """Gradient of the mean cross-entropy of one class's `count` real images, added up over parts of them."""
    return _sum(torch.autograd.grad(_loss(network, part, label) / count, parameters) for part in parts)


def _sum(gradients: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    total: list[Tensor] | None = None
    for each in gradients:
        if total is None:
            total = [gradient.clone() for gradient in each]
        else:
            torch._foreach_add_(total, list(each))
    assert total is not None, "every class has images"
    return total


def _loss(network: nn.Module, images: Float[Tensor, "b c h w"], label: int) -> Float[Tensor, ""]:
    """Cross-entropy of images of one class, summed."""
    targets = torch.full((len(images),), label, device=images.device)
    return F.cross_entropy(network(images), targets, reduction="sum")
