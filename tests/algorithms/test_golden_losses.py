"""The three matching losses and their gradients against the paper's code, in float64."""

import pytest
import torch
import torch.nn.functional as F

from glad_ray.algorithms import feature_distance, gradient_distance, trajectory_gradient
from glad_ray.algorithms.mtt import StudentStep, functional_loss
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import Network
from tests.golden_numbers import golden, images, set_parameters

ARRAYS, FACTS = golden("losses")
REAL_SALT, SYNTHETIC_SALT = {3: 45, 7: 44}, {3: 710, 7: 702}
TOLERANCE = 1e-10


def _network():
    network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    set_parameters(network, FACTS["gain"])
    return network.double()


def _images(label):
    return images(8, 3, 32, 32, REAL_SALT[label]).double(), images(2, 3, 32, 32, SYNTHETIC_SALT[label]).double()


def _close(actual, expected):
    expected = torch.as_tensor(expected)
    assert float((actual - expected).norm() / expected.norm()) < TOLERANCE


@pytest.mark.parametrize(("form", "name"), [("layerwise", "ours"), ("squared", "mse"), ("cosine", "cos")])
def test_gradient_distance(form, name):
    label = 3
    network = _network()
    parameters = list(network.parameters())
    real, synthetic = _images(label)
    synthetic.requires_grad_()

    def gradients(x, create_graph):
        loss = F.cross_entropy(network(x), torch.full((len(x),), label))
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    distance = gradient_distance(gradients(synthetic, True), gradients(real, False), form)
    (grad,) = torch.autograd.grad(distance, synthetic)
    _close(distance.detach(), ARRAYS[f"dc/f64/class{label}/{name}/loss"])
    _close(grad, ARRAYS[f"dc/f64/class{label}/{name}/dsyn"])


def test_feature_distance():
    network = _network()
    pairs = [_images(label) for label in (3, 7)]
    synthetic = [pair[1].requires_grad_() for pair in pairs]
    loss = feature_distance(
        torch.stack([network.embed(real).mean(0) for real, _ in pairs]),
        torch.stack([network.embed(x).mean(0) for x in synthetic]),
    )
    grads = torch.autograd.grad(loss, synthetic)
    _close(loss.detach(), ARRAYS["dm/f64/loss"])
    for i, grad in enumerate(grads):
        _close(grad, ARRAYS[f"dm/f64/dsyn{i}"])


@pytest.mark.parametrize("gradient", ["tesla", "exact"])
@pytest.mark.parametrize("case", FACTS["mtt"])
def test_trajectory_gradient(case, gradient):
    network = _network()
    step_size = torch.tensor(FACTS["mtt"][case]["alpha"], dtype=torch.float64)
    outcome = trajectory_gradient(
        functional_loss(network),
        flat_parameters(network).detach(),
        torch.from_numpy(ARRAYS["mtt/target"]).double(),
        images(8, 3, 32, 32, 111).double(),
        torch.arange(8),
        step_size,
        [StudentStep(torch.from_numpy(batch), lambda x: x) for batch in ARRAYS[f"mtt/{case}/indices"]],
        gradient,
    )
    expected = f"mtt/{case}/{gradient}_f64"
    _close(outcome.loss, ARRAYS[f"{expected}/loss"])
    _close(outcome.image_grads, ARRAYS[f"{expected}/img_grad"])
    _close(outcome.step_size_grad, ARRAYS[f"{expected}/lr_grad"])
