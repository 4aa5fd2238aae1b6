"""Characteristic function matching (NCFM): Wang et al., "Dataset Distillation with Neural Characteristic Function: A
Minmax Perspective", CVPR 2025.

Class by class, the characteristic functions of real and synthetic features should agree: phi(t) = E exp(i t.x) at
frequencies t. Their distance at one frequency is made of an amplitude and a phase term, as `characteristic_distance`
has it. Features are those of a blend of a network before and after its training on the real data, each divided by its
length; a calibration adds the cross-entropy of the trained network on the synthetic images.

The frequencies come from a sampling network psi that is trained to tell the two sides apart: the images minimise the
distance, psi maximises it. The released code switches psi off in all its settings and draws Gaussian frequencies; where
psi is on, its step adds the gradient of the loss to that of the negative loss, so that psi never moves. Here it moves.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glad_ray.algorithms.base import Match
from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import Draw, apply, draw
from glad_ray.data import Dataset
from glad_ray.machine import upload, upload_together
from glad_ray.networks import load_flat_parameters, set_dropout_rng
from glad_ray.randomness import rng_for
from glad_ray.spec import NCFM, Run
from glad_ray.trajectories import Trajectories

SCALE = 300.0
"""of the distance of one class in the loss, as the code has it"""
LEAST_PHASE = 1e-12
"""a phase term below it counts as it and has no gradient, as the code has it"""
_LEAST_LENGTH = 1e-12
"""a feature vector is divided by its length, or by this if it is shorter"""
_SLOPE = 0.2
"""of psi's LeakyReLU for negative numbers"""
_SAMPLING_MOMENTUM = 0.5
_SAMPLING, _VELOCITY = "sampling/", "velocity/"
FREQUENCIES_A_DRAW = 16
"""frequencies for each row of noise that goes through psi: the code repeats each one so often, which changes no mean"""


class CharacteristicFunction(NamedTuple):
    """The empirical characteristic function of some features, at some frequencies; of several classes, with these in
    front.
    """

    real: Float[Tensor, "... f"]
    """mean of cos(t.x)"""
    imaginary: Float[Tensor, "... f"]
    """mean of sin(t.x)"""

    @property
    def amplitude(self) -> Float[Tensor, "... f"]:
        """Its absolute value."""
        return (self.real**2 + self.imaginary**2).sqrt()


def characteristic_function(
    features: Float[Tensor, "n d"], frequencies: Float[Tensor, "f d"]
) -> CharacteristicFunction:
    """(1/n) sum_j exp(i t.x_j) for every frequency t; differentiable in both."""
    angles = features @ frequencies.T
    return CharacteristicFunction(angles.cos().mean(0), angles.sin().mean(0))


def characteristic_distance(
    real: CharacteristicFunction, synthetic: CharacteristicFunction, amplitude_weight: float, phase_weight: float
) -> Float[Tensor, "..."]:
    """The mean over frequencies of the root of amplitude_weight * A + phase_weight * P, for every class.

    With M the amplitudes of phi_x and phi_y: A = (M_x - M_y)^2, and P = 2 (M_x M_y - Re phi_x Re phi_y -
    Im phi_x Im phi_y), at least `LEAST_PHASE`. As in the code nothing is added under the root: with a phase weight of 0
    the gradient is not a number where the amplitudes are equal.
    """
    x, y = real.amplitude, synthetic.amplitude
    phase = 2 * (x * y - real.real * synthetic.real - real.imaginary * synthetic.imaginary)
    squared = amplitude_weight * (x - y) ** 2 + phase_weight * phase.clamp(min=LEAST_PHASE)
    return squared.sqrt().mean(-1)


def normalised(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each row divided by its length."""
    return F.normalize(features, dim=1, eps=_LEAST_LENGTH)


def matching_loss(
    real: Float[Tensor, "n d"],
    synthetic: Float[Tensor, "m d"],
    frequencies: Float[Tensor, "f d"],
    amplitude_weight: float,
    phase_weight: float,
) -> Float[Tensor, ""]:
    """The loss of one class: `SCALE` times the distance of the normalised features."""
    of_real, of_synthetic = (characteristic_function(normalised(each), frequencies) for each in (real, synthetic))
    return SCALE * characteristic_distance(of_real, of_synthetic, amplitude_weight, phase_weight)


class SamplingNetwork(nn.Module):
    """psi: noise to frequencies in (-1, 1): three times linear and batch norm over the rows, with LeakyReLU after the
    first two and tanh after the last. It stays in training mode.
    """

    def __init__(self, features: int, rng: torch.Generator | None = None) -> None:
        """For features of so many numbers; initialised as PyTorch does it, but from `rng`, or by the caller."""
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, False, True):
            linear = nn.utils.skip_init(nn.Linear, features, features)
            if rng is not None:
                bound = features**-0.5
                for parameter in linear.parameters():
                    nn.init.uniform_(parameter, -bound, bound, generator=rng)
            layers += [linear, nn.BatchNorm1d(features), nn.Tanh() if last else nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Float[Tensor, "r d"]) -> Float[Tensor, "r d"]:
        """A frequency for every row of N(0, 1) noise, at least two."""
        frequencies: Tensor = self.layers(noise)
        return frequencies


def few_frequencies(noise: Float[Tensor, "f d"]) -> Float[Tensor, "f d"]:
    """What the code takes, without a network, for fewer frequencies than `FREQUENCIES_A_DRAW`."""
    return noise / noise.shape[1] ** 0.5


def blend(initial: Float[Tensor, " p"], trained: Float[Tensor, " p"], share: float) -> Float[Tensor, " p"]:
    """Parameters between those before and after a training: `share` of the initial ones."""
    return share * initial + (1 - share) * trained


class CharacteristicMatching:
    """NCFM bound to one run and its pre-trained networks."""

    def __init__(self, run: Run, dataset: Dataset, trajectories: Trajectories, device: torch.device) -> None:
        assert isinstance(run.algorithm, NCFM)
        self.run, self.settings, self.dataset, self.device = run, run.algorithm, dataset, device
        self.classes = len(dataset.class_names)
        self.trajectories = trajectories
        self.real = RealBatches(run, dataset, run.algorithm.real_batch_size, device)
        self.network = build_backbone(run, dataset, None).to(device).requires_grad_(False)
        self.sampling: SamplingNetwork | None = None
        """psi, from the first step on"""
        self._velocities: list[Tensor] = []
        self._kept: dict[str, Tensor] = {}

    def match(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int, step_size: Float[Tensor, ""]
    ) -> Match:
        """The matching losses of the classes there are, the calibration, or their sum, and the gradient with respect to
        the images; computed in their precision. psi makes its step as well.
        """
        part = self.settings.part(step, self.classes)
        initial, trained = self._experts(part.iteration, images.dtype)
        if step + 1 < self.run.steps:
            following = self.settings.part(step + 1, self.classes).iteration
            self.trajectories.expect(*self._segment(following)[0])
        self.network.to(images.dtype)
        synthetic = images.detach().requires_grad_()
        loss, image_grads = images.new_zeros(()), torch.zeros_like(images)
        if part.matches:
            _, share = self._segment(part.iteration)
            load_flat_parameters(self.network, blend(initial, trained, share))
            matched = self._matching(synthetic, labels, step)
            image_grads += self._gradients(matched, synthetic)
            loss += matched.detach()
        if part.calibrates:
            load_flat_parameters(self.network, trained)
            calibration = self.settings.calibration * self._calibration(synthetic, labels, step)
            image_grads += torch.autograd.grad(calibration, synthetic)[0]
            loss += calibration.detach()
        return Match(loss=loss, image_grads=image_grads)

    def _segment(self, iteration: int) -> tuple[tuple[int, int, int], float]:
        """The expert of an iteration as `Trajectories.segment` takes it, and the share of its initial parameters."""
        rng = rng_for(self.run.run_id, "pre-trained network", iteration)
        expert = int(torch.randint(self.settings.experts.count, (), generator=rng))
        share = float(torch.rand((), generator=rng, dtype=torch.float64))
        return (expert, 0, self.settings.experts.epochs), share

    def _experts(self, iteration: int, dtype: torch.dtype) -> Sequence[Float[Tensor, " p"]]:
        """Parameters of the expert of an iteration before and after its training."""
        segment, _ = self._segment(iteration)
        return upload_together([each.to(dtype) for each in self.trajectories.segment(*segment)], self.device)

    def _matching(self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int) -> Float[Tensor, ""]:
        """The loss of all classes that there are images of, as a function of the images and of psi."""
        set_dropout_rng(self.network, rng_for(self.run.run_id, "dropout", step))
        draws = draw_of_step(self.run, self.dataset, step)
        features = normalised(self.network.embed(apply(images, draws, labels)))
        frequencies = self._frequencies(step, features)
        present, index, counts = labels.unique(return_inverse=True, return_counts=True)
        real = self._real(present.tolist(), step, draws, frequencies)
        weights = F.one_hot(index).to(features.dtype) / counts
        means = upload(weights.T, self.device)
        angles = features @ frequencies.T
        synthetic = CharacteristicFunction(means @ angles.cos(), means @ angles.sin())
        weighting = self.settings.amplitude_weight, self.settings.phase_weight
        return SCALE * characteristic_distance(real, synthetic, *weighting).sum()

    def _real(
        self, present: Sequence[int], step: int, draws: Draw, frequencies: Float[Tensor, "f d"]
    ) -> CharacteristicFunction:
        """Of the real images of some classes."""
        # The same images in every step are those of the first one.
        drawn = 0 if self.settings.real_images_seen == "fixed" else step
        dtype = frequencies.dtype
        if len(present) == self.classes and self.real.classes_together(self.network):
            ((_, parts),) = self.real.of_classes_together(drawn, draws, dtype, classes=self.classes)
            return _sum(self._weighted(images, weights, frequencies) for images, weights in parts)
        of_class = enumerate(self.real.of_step(self.network, drawn, draws, dtype))
        functions = [
            _sum(self._weighted(part[:, None], part.new_full((len(part), 1), 1 / count), frequencies) for part in parts)
            for label, (count, parts) in of_class
            if label in present
        ]
        return CharacteristicFunction(*(torch.cat(each) for each in zip(*functions, strict=True)))

    def _weighted(
        self, images: Float[Tensor, "b k c h w"], weights: Float[Tensor, "b k"], frequencies: Float[Tensor, "f d"]
    ) -> CharacteristicFunction:
        """The weighted sum over some real images of each of k classes; of the frequencies alone a graph is made."""
        with torch.no_grad():
            features = normalised(self.network.embed(images.flatten(0, 1)))
        angles = (features @ frequencies.T).unflatten(0, weights.shape)
        return CharacteristicFunction(
            *(torch.einsum("bk,bkf->kf", weights, each) for each in (angles.cos(), angles.sin()))
        )

    def _calibration(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], step: int
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of each class's images, summed over classes."""
        set_dropout_rng(self.network, rng_for(self.run.run_id, "calibration dropout", step))
        draws = draw(self.run.augmentation, self.classes, rng_for(self.run.run_id, "calibration augmentation", step))
        logits = self.network(apply(images, draws, labels))
        weights = 1 / labels.bincount(minlength=self.classes)[labels].to(logits.dtype)
        target, weights = upload_together([labels, weights], self.device)
        return F.cross_entropy(logits, target, reduction="none") @ weights

    def _frequencies(self, step: int, features: Float[Tensor, "n d"]) -> Float[Tensor, "f d"]:
        width, count, sampling = features.shape[1], self.settings.frequencies, self.settings.sampling
        by_network = sampling != "gaussian" and count >= FREQUENCIES_A_DRAW
        rows = count // FREQUENCIES_A_DRAW if by_network else count
        noise = torch.randn(rows, width, generator=rng_for(self.run.run_id, "frequencies", step))
        noise = upload(noise, self.device).to(features.dtype)
        if not by_network:
            return noise if sampling == "gaussian" else few_frequencies(noise)
        with torch.set_grad_enabled(sampling == "network"):
            frequencies: Tensor = self._sampling_network(width, features.dtype)(noise)
        return frequencies

    def _sampling_network(self, width: int, dtype: torch.dtype) -> SamplingNetwork:
        """The network psi as the last step left it."""
        if self.sampling is None:
            self.sampling = SamplingNetwork(width, rng_for(self.run.run_id, "sampling network"))
            self.sampling.to(self.device, dtype)
            velocities = {name: torch.zeros_like(value.data) for name, value in self.sampling.named_parameters()}
            if self._kept:
                self.sampling.load_state_dict(_named(_SAMPLING, self._kept))
                velocities |= _named(_VELOCITY, self._kept)
                self._kept = {}
            # A file has them in another order; the parameters' own stays.
            self._velocities = [velocity.to(self.device, dtype) for velocity in velocities.values()]
        return self.sampling

    def _gradients(self, loss: Float[Tensor, ""], images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """With respect to the images; psi makes a step up the loss."""
        if self.settings.sampling != "network" or self.sampling is None:
            (image_grads,) = torch.autograd.grad(loss, images)
            return image_grads
        parameters: list[Tensor] = list(self.sampling.parameters())
        image_grads, *uphill = torch.autograd.grad(loss, (images, *parameters))
        with torch.no_grad():
            torch._foreach_mul_(self._velocities, _SAMPLING_MOMENTUM)
            torch._foreach_add_(self._velocities, uphill)
            torch._foreach_add_(parameters, self._velocities, alpha=self.settings.sampling_lr)
        return image_grads

    def state(self) -> dict[str, Tensor]:
        """The network psi and its momenta."""
        if self.sampling is None:
            return self._kept
        names = [name for name, _ in self.sampling.named_parameters()]
        velocities = zip(names, self._velocities, strict=True)
        return {
            **{_SAMPLING + name: value for name, value in self.sampling.state_dict().items()},
            **{_VELOCITY + name: value for name, value in velocities},
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.sampling, self._kept = None, state


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _sum(functions: Iterable[CharacteristicFunction]) -> CharacteristicFunction:
    return CharacteristicFunction(*(torch.stack(parts).sum(0) for parts in zip(*functions, strict=True)))
