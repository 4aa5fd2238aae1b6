"""Gradient matching along the training of networks on real images (IDC): Kim et al., "Dataset Condensation via
Efficient Synthetic-Data Parameterization", ICML 2022; and DREAM (Liu et al., ICCV 2023), which differs in the real
images that it chooses (`RealBatches.choose`, `glad_ray.starting_images`).

Class by class, the gradient of the mean cross-entropy of synthetic images should be that of real ones, for convolutions
alone unless said else; both go through the same augmentation. Where DC trains the network on the synthetic images
between two steps, IDC trains it on real ones, mixed by CutMix. That synthetic images hold several training images each
is not a part of it (`glad_ray.generators.formation`).

Departures from the code: real batches and those of the networks' training are drawn anew at every step, where the code
goes through the images epoch by epoch; and a network's last training, after its last step, is left out.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import apply, draw, draw_mix
from glad_ray.data import Dataset, by_index
from glad_ray.machine import upload
from glad_ray.networks import (
    Classifier,
    batch_sizes,
    flat_parameters,
    load_flat_parameters,
    move,
    set_dropout_rng,
    split_parameters,
)
from glad_ray.optimisers.sgd import SGD
from glad_ray.randomness import rng_for
from glad_ray.spec import Run
from glad_ray.spec.algorithms.idc import Distance, MatchingAlongTraining
from glad_ray.training import Batch, Extras, Images, train_batch, train_epoch

_EPS = 1e-6
_NETWORK, _MOMENTA = "network", "network_momenta"


def distance(synthetic: Sequence[Tensor], real: Sequence[Tensor], form: Distance) -> Float[Tensor, ""]:
    """How far two lists of tensors are apart, summed over them. The rows of a tensor are along its first dimension."""
    return torch.stack([_distance(s, r, form) for s, r in zip(synthetic, real, strict=True)]).sum()


def _distance(synthetic: Tensor, real: Tensor, form: Distance) -> Float[Tensor, ""]:
    match form:
        case "mse":
            return ((synthetic - real) ** 2).sum()
        case "l1":
            return (synthetic - real).abs().sum()
        case "l1_mean":
            return (synthetic - real).abs().reshape(len(real), -1).mean(1).sum()
        case "cos":
            s, r = synthetic.reshape(len(synthetic), -1), real.reshape(len(real), -1)
            return (1 - (s * r).sum(1) / (s.norm(dim=1) * r.norm(dim=1) + _EPS)).sum()


def compared(parameters: Iterable[Tensor], *, vectors: bool = False, linear: bool = False) -> list[Tensor]:
    """Those parameters whose gradients are compared: weights of convolutions; where that is asked for those of linear
    layers, and vectors (biases and norms).
    """
    kinds = {1: vectors, 2: linear}
    return [parameter for parameter in parameters if kinds.get(parameter.ndim, True)]


def mean_gradient(
    network: nn.Module, parameters: Sequence[Tensor], images: Float[Tensor, "b c h w"], label: int, count: int
) -> list[Tensor]:
    """The gradient of the cross-entropy of images of one class, summed and divided by `count`; with a graph where the
    images need one.
    """
    targets = torch.full((len(images),), label, device=images.device)
    loss = F.cross_entropy(network(images), targets, reduction="sum") / count
    return list(torch.autograd.grad(loss, parameters, create_graph=images.requires_grad))


def class_distance(
    network: Classifier,
    synthetic: Float[Tensor, "m c h w"],
    real: tuple[int, Iterable[Float[Tensor, "b c h w"]]],
    label: int,
    settings: MatchingAlongTraining,
) -> Float[Tensor, ""]:
    """The distance of one class as a function of its synthetic images; `real`: how many real images there are, and
    these in parts. Both are augmented.
    """
    count, parts = real
    parameters = compared(network.parameters(), vectors=settings.vectors, linear=settings.linear)
    gradients, features = settings.matched != "features", settings.matched != "gradients"
    # Of features alone the distance is squared, whatever that of gradients is, as in the code.
    form: Distance = settings.distance if gradients else "mse"
    of_real: list[list[Tensor]] = []
    for part in parts:
        found = mean_gradient(network, parameters, part, label, count) if gradients else []
        if features:
            with torch.no_grad():
                found = [*found, network.embed(part).sum(0) / count]
        of_real.append(found)
    target = [torch.stack(each).sum(0) for each in zip(*of_real, strict=True)]
    of_synthetic = mean_gradient(network, parameters, synthetic, label, len(synthetic)) if gradients else []
    if features:
        of_synthetic = [*of_synthetic, network.embed(synthetic).mean(0)]
    return distance(of_synthetic, target, form)


class RealTrainingMatching:
    """IDC or DREAM bound to one run: each network serves for some steps, and is trained on real images in between."""

    def __init__(self, run: Run, dataset: Dataset, trajectories: None, device: torch.device) -> None:
        assert isinstance(run.algorithm, MatchingAlongTraining)
        self.run, self.settings, self.dataset, self.device = run, run.algorithm, dataset, device
        self.classes = len(dataset.class_names)
        self.real = RealBatches(run, dataset, run.algorithm.real_batch_size, device)
        self.images = by_index(dataset.train_images, dataset, device)
        self.labels = torch.tensor(dataset.train_labels, device=device)
        self.network: Classifier | None = None
        self.optimiser: SGD | None = None

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """The distances of the classes there are, summed, and their gradient with respect to the images; computed in
        their precision.
        """
        place = self.settings.place(step, self.classes)
        network = self._network_for(step, images.dtype)
        present = labels.unique().tolist()
        self.real.choose(network, place.iteration, present)
        draws = draw_of_step(self.run, self.dataset, step)
        loss, image_grads = images.new_zeros(()), torch.zeros_like(images)
        for label in present:
            index = upload(self._seen(labels, label, step), self.device)
            leaf = images[index].detach().requires_grad_()
            real = self.real.of_class(network, label, step, draws, images.dtype)
            of_class = class_distance(network, apply(leaf, draws.only(label)), real, label, self.settings)
            (image_grads[index],) = torch.autograd.grad(of_class, leaf)
            loss += of_class.detach()
        return Match(loss=loss, image_grads=image_grads)

    def _seen(self, labels: Int64[Tensor, " n"], label: int, step: int) -> Int64[Tensor, " m"]:
        """Which images of a class its gradient is taken of: all, or by chance as many as there may be."""
        members = (labels == label).nonzero().flatten()
        most = self.settings.synthetic_batch_size
        if len(members) <= most:
            return members
        order = torch.randperm(len(members), generator=rng_for(self.run.run_id, "synthetic", step, label))
        return members[order[:most].sort().values]

    def _network_for(self, step: int, dtype: torch.dtype) -> Classifier:
        """A new network at its first step; at the first step of a later iteration the last, trained on real images."""
        place = self.settings.place(step, self.classes)
        if self.network is None or place.first_of_network:
            self.network = self._new_network(place.network)
            move(self.network, self.device, dtype)
            self.network.train()
            for epoch in range(self.settings.network_epochs):
                self._train_epoch(self.network, place.network, epoch)
            self.optimiser = self._optimiser(self.network)
        elif place.first_of_iteration:
            assert self.optimiser is not None, "made with the network"
            for batch in self._batches(self.network, place.iteration):
                extras = Extras(mixing=self.settings.network_mixing)
                train_batch(self.network, self.optimiser, self._as(dtype), self.labels, [batch], extras)
            self.optimiser.zero_grad()
        set_dropout_rng(self.network, rng_for(self.run.run_id, "dropout", step))
        return self.network

    def _new_network(self, number: int) -> Classifier:
        return build_backbone(self.run, self.dataset, rng_for(self.run.run_id, "network", number))

    def _optimiser(self, network: nn.Module) -> SGD:
        settings = self.settings
        return SGD(network.parameters(), settings.network_lr, settings.network_momentum, settings.network_weight_decay)

    def _train_epoch(self, network: Classifier, number: int, epoch: int) -> None:
        """Before a network's first step, an epoch on all real images."""
        set_dropout_rng(network, rng_for(self.run.run_id, "epoch dropout", number, epoch))
        if epoch == 0:
            self.optimiser = self._optimiser(network)
        assert self.optimiser is not None
        train_epoch(
            network,
            self.optimiser,
            self._as(next(network.parameters()).dtype),
            self.labels,
            batch_size=self.settings.real_batch_size,
            augmentation=self.settings.network_augmentation,
            rng=rng_for(self.run.run_id, "network epoch", number, epoch),
            extras=Extras(mixing=self.settings.network_mixing),
        )

    def _batches(self, network: Classifier, iteration: int) -> Iterator[Batch]:
        """What the network is trained on before an iteration: mini-batches of different real images, as far as there
        are as many.
        """
        settings, rng = self.settings, rng_for(self.run.run_id, "network images", iteration)
        set_dropout_rng(network, rng_for(self.run.run_id, "training dropout", iteration))
        whole = -(-settings.network_images // settings.real_batch_size) * settings.real_batch_size
        order = torch.randperm(len(self.labels), generator=rng)[:whole]
        sizes = batch_sizes(network, lambda: self.images(order[:1]), len(order), settings.real_batch_size)
        for index in order.split(sizes):
            drawn = draw(settings.network_augmentation, len(index), rng, shared_operation=True)
            mix = None
            if settings.network_mixing is not None:
                mix = draw_mix(settings.network_mixing, len(index), self.run.pixels, self.run.pixels, rng)
            yield Batch(index=index, operation=drawn.shared(), uniforms=drawn.uniforms, mix=mix)

    def _as(self, dtype: torch.dtype) -> Images:
        return lambda index: self.images(index).to(dtype)

    def state(self) -> dict[str, Tensor]:
        """The network that later steps go on training, its momenta, and real images chosen for later steps."""
        state = self.real.state()
        if self.network is None or self.optimiser is None:
            return state
        momenta = self.optimiser.momenta()
        kept = {_MOMENTA: torch.cat([each.reshape(-1) for each in momenta])} if momenta else {}
        return state | {_NETWORK: flat_parameters(self.network)} | kept

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.real.load_state(state)
        if _NETWORK not in state:
            return
        self.network = build_backbone(self.run, self.dataset, None).to(self.device, state[_NETWORK].dtype).train()
        load_flat_parameters(self.network, state[_NETWORK])
        self.optimiser = self._optimiser(self.network)
        if _MOMENTA in state:
            self.optimiser.load_momenta(list(split_parameters(self.network, state[_MOMENTA]).values()))
