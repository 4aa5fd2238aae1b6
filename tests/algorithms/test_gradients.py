"""Every gradient that moves latents, against central differences of the loss it claims to be the gradient of.

Whole steps in float64, augmentation included; DSA's operations have theirs in tests/augment/test_dsa.py.
"""

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.distillation import build_space
from glad_ray.generators import build_generator
from glad_ray.networks import build_network, flat_parameters
from glad_ray.randomness import rng_for
from glad_ray.spec import DC, DM, IDC, MTT, Network, RandomStyleGAN, Run

CPU = torch.device("cpu")
LABELS = torch.arange(10)
STEP_SIZE = torch.tensor(0.05, dtype=torch.float64)
GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
# Within it no ReLU changes sides, where the gradients that DC and MTT compare would jump.
DISTANCE = 1e-6
TOLERANCE = 1e-7


class Segment:
    """One short piece of an invented trajectory."""

    def segment(self, expert, start_epoch, epochs):
        network = build_network(
            Network(width=4), channels=1, resolution=32, classes=10, rng=rng_for("segment", "start")
        )
        start = flat_parameters(network)
        return start, start + 0.02 * torch.randn(len(start), generator=rng_for("segment", "way"))

    def expect(self, expert, start_epoch, epochs):
        pass


def _run(algorithm, **fields):
    return Run(algorithm=algorithm, resolution=32, backbone=Network(width=4), **fields)


def _algorithm(run, sample):
    return build_algorithm(run, sample, Segment(), CPU)


def _images(run, sample):
    space = build_space(run, sample, None, CPU)
    images = space.decode(space.init(LABELS, rng_for("gradients", "init"))).double()
    return images + 0.1 * torch.randn(images.shape, generator=rng_for("gradients", "noise"), dtype=torch.float64)


def _check(loss, point, gradient):
    """The slope of `loss` along directions of length 1 is the gradient's component."""
    for number in range(3):
        direction = torch.randn(point.shape, generator=rng_for("direction", "random", number), dtype=torch.float64)
        # Half along the gradient, so that the slope is not lost in rounding.
        direction = direction / direction.norm() + gradient / gradient.norm()
        direction = direction / direction.norm()
        _check_along(direction, loss, point, gradient)


def _check_along(direction, loss, point, gradient):
    slope = (loss(point + DISTANCE * direction) - loss(point - DISTANCE * direction)) / (2 * DISTANCE)
    assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=TOLERANCE)


@pytest.mark.parametrize(
    "algorithm",
    [
        DC(real_batch_size=4, matching="layerwise"),
        DC(real_batch_size=4, matching="cosine"),
        DC(real_batch_size=4, matching="squared"),
        DM(real_batch_size=4),
        IDC(real_batch_size=4, inner_steps=1, distance="l1_mean", matched="both", vectors=True),
        MTT(gradient="exact", synthetic_steps=4),
        MTT(gradient="exact", synthetic_steps=7, batch_size=4),
        MTT(gradient="tesla", synthetic_steps=1),
    ],
    ids=lambda algorithm: f"{algorithm.name}-{getattr(algorithm, 'matching', getattr(algorithm, 'gradient', ''))}",
)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_images(algorithm, step, sample):
    run = _run(algorithm)
    bound, images = _algorithm(run, sample), _images(run, sample)
    match = bound.match(images, LABELS, step, STEP_SIZE)
    _check(lambda x: bound.match(x, LABELS, step, STEP_SIZE).loss, images, match.image_grads)


def test_step_size(sample):
    run = _run(MTT(gradient="exact", synthetic_steps=5))
    bound, images = _algorithm(run, sample), _images(run, sample)
    match = bound.match(images, LABELS, 0, STEP_SIZE)
    _check_along(1, lambda alpha: bound.match(images, LABELS, 0, alpha).loss, STEP_SIZE, match.step_size_grad)


@pytest.mark.parametrize("space", ["w+", "f0", "f2", "f4"])
def test_latents(space, sample):
    """An algorithm's gradient pulled back to each latent is that of its loss of the decoded latents."""
    run = _run(DM(real_batch_size=4), space=space, generator=GENERATOR)
    bound = _algorithm(run, sample)
    made = build_space(run, sample, build_generator(GENERATOR, dtype=torch.float64), CPU)
    latents = {kind: value.double() for kind, value in made.init(LABELS, rng_for("gradients", "init")).items()}

    def loss(changed):
        return bound.match(made.decode(latents | changed), LABELS, 0, STEP_SIZE).loss

    image_grads = bound.match(made.decode(latents), LABELS, 0, STEP_SIZE).image_grads
    gradients = made.pullback(latents, image_grads)
    assert set(gradients) == set(latents)
    for kind, gradient in gradients.items():
        _check(lambda value, kind=kind: loss({kind: value}), latents[kind], gradient)
