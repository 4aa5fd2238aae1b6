"""The gradients of several classes at once are those of each by itself, and so are their derivatives in the images."""

import pytest
import torch
import torch.nn.functional as F

from glad_ray import machine
from glad_ray.algorithms.dc import class_gradients, of_classes
from glad_ray.networks import build_network
from glad_ray.spec import Network

NETWORKS = [Network(width=4, norm=norm) for norm in ("instancenorm", "layernorm", "groupnorm", "none")]
NETWORKS += [Network(name=name, width=4) for name in ("alexnet", "vgg11", "resnet18")]
CLASSES, IMAGES = 3, 2


@pytest.mark.parametrize("of_all", [True, False], ids=["all parameters", "weights alone"])
@pytest.mark.parametrize("few_operations", [True, False])
@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: f"{spec.name} {spec.norm}")
def test_class_gradients(spec, few_operations, of_all, monkeypatch):
    monkeypatch.setattr(machine, "few_operations_are_fast", lambda device: few_operations)
    rng = torch.Generator().manual_seed(0)
    network = build_network(spec, channels=1, resolution=32, classes=5, rng=rng).double()
    labels, weights = torch.tensor([4, 0, 2]), torch.rand(IMAGES, CLASSES, generator=rng, dtype=torch.float64)
    images = torch.randn(IMAGES, CLASSES, 1, 32, 32, generator=rng, dtype=torch.float64).requires_grad_()
    compared = [of_all or parameter.ndim in (2, 4) for parameter in network.parameters()]

    together = class_gradients(network, of_classes(network, CLASSES, compared), images, weights, labels)
    parameters = [each for each, seen in zip(network.parameters(), compared, strict=True) if seen]
    alone = [
        torch.autograd.grad(
            F.cross_entropy(network(images[:, number]), label.expand(IMAGES), reduction="none") @ weights[:, number],
            parameters,
            create_graph=True,
        )
        for number, label in enumerate(labels)
    ]
    directions = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in together]
    for one, other in zip(together, map(torch.stack, zip(*alone, strict=True)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    second, expected = (
        torch.autograd.grad(gradients, images, directions)
        for gradients in (together, list(map(torch.stack, zip(*alone, strict=True))))
    )
    torch.testing.assert_close(second, expected, rtol=1e-9, atol=1e-11)
