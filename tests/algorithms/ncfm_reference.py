"""NCFM as plainly as it can be written, in float64: one class at a time, one image at a time, complex exponentials.

Networks, augmentation, and the names of random draws are the package's; nothing of its algorithm is used.
"""

import torch

from glad_ray.augment import apply, draw
from glad_ray.networks import load_flat_parameters
from glad_ray.randomness import rng_for
from tests.algorithms import references


class Psi:
    """The sampling network, its three layers written out, and its steps up the loss."""

    def __init__(self, parameters, rate):
        self.parameters = [each.detach().double().clone().requires_grad_() for each in parameters]
        self.velocities = [torch.zeros_like(each) for each in self.parameters]
        self.rate = rate

    def __call__(self, noise):
        rows = noise
        for layer in range(3):
            weight, bias, gain, offset = self.parameters[4 * layer : 4 * layer + 4]
            rows = torch.stack([weight @ row + bias for row in rows])
            mean = sum(rows) / len(rows)
            variance = sum((row - mean) ** 2 for row in rows) / len(rows)
            rows = gain * (rows - mean) / (variance + 1e-5).sqrt() + offset
            rows = torch.tanh(rows) if layer == 2 else torch.where(rows > 0, rows, 0.2 * rows)
        return rows

    def climb(self, gradients):
        with torch.no_grad():
            for parameter, velocity, gradient in zip(self.parameters, self.velocities, gradients, strict=True):
                velocity.copy_(0.5 * velocity + gradient)
                parameter += self.rate * velocity


def phi(features, t):
    """The characteristic function of some features at t."""
    exponentials = [torch.exp(1j * (t @ (x / x.norm())).to(torch.complex128)) for x in features]
    return sum(exponentials) / len(exponentials)


def class_loss(real, synthetic, t, alpha, beta):
    """300 times the mean over frequencies of the root of the weighted amplitude and phase terms."""
    a, b = phi(real, t), phi(synthetic, t)
    amplitude = (a.abs() - b.abs()) ** 2
    phase = 2 * (a.abs() * b.abs() - (a * b.conj()).real)
    return 300 * sum((alpha * amplitude + beta * torch.clamp(phase, min=1e-12)) ** 0.5) / len(t)


def network_with(run, theta):
    network = references.new_network(run, "any")
    load_flat_parameters(network, theta.double())
    return network


def pre_trained(run, trajectories, iteration):
    """A blend of parameters, and those after the training."""
    rng = rng_for(run.run_id, "pre-trained network", iteration)
    expert = int(torch.randint(run.algorithm.experts.count, (), generator=rng))
    share = float(torch.rand((), generator=rng, dtype=torch.float64))
    initial, trained = (each.double() for each in trajectories.segment(expert, 0, run.algorithm.experts.epochs))
    return network_with(run, share * initial + (1 - share) * trained), network_with(run, trained)


def step(run, dataset, trajectories, images, labels, number, *, iteration, present, matches, calibrates, psi):
    """The loss of a step on images of the classes `present`, and its gradient; psi makes its step."""
    settings = run.algorithm
    blended, trained = pre_trained(run, trajectories, iteration)
    first = 0 if settings.real_images_seen == "fixed" else number
    real = references.real_images(run, dataset, first, settings.real_batch_size)
    drawn = draw(run.augmentation, references.CLASSES, rng_for(run.run_id, "augmentation", number))
    again = draw(run.augmentation, references.CLASSES, rng_for(run.run_id, "calibration augmentation", number))
    leaves = [image.clone().requires_grad_() for image in images]
    matched, calibration = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    if matches:
        width = blended.embed(images[:1]).shape[1]
        by_network = settings.sampling != "gaussian" and settings.frequencies >= 16
        rows = settings.frequencies // 16 if by_network else settings.frequencies
        noise = torch.randn(rows, width, generator=rng_for(run.run_id, "frequencies", number)).double()
        t = psi(noise) if by_network else noise / (1 if settings.sampling == "gaussian" else width**0.5)
    for label in present:
        own = [x for x, y in zip(leaves, labels, strict=True) if y == label]
        if matches:
            of_real, of_own = (
                [blended.embed(apply(x[None], drawn.only(label)))[0] for x in group] for group in (real[label], own)
            )
            of_real = [x.detach() for x in of_real]
            matched = matched + class_loss(of_real, of_own, t, settings.amplitude_weight, settings.phase_weight)
        if calibrates:
            augmented = [apply(x[None], again.only(label))[0] for x in own]
            calibration = calibration + references.mean_loss(trained, augmented, [label] * len(own))
    total = matched + settings.calibration * calibration
    grads = torch.autograd.grad(total, leaves, retain_graph=True)
    if matches and by_network and settings.sampling == "network":
        psi.climb(torch.autograd.grad(matched, psi.parameters))
    return total.detach(), torch.stack(grads)
