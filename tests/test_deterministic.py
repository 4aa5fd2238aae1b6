"""What computes otherwise where deterministic kernels are asked for comes to the same values and gradients."""

import pytest
import torch

from glad_ray.augment.operations import rotate, scale
from glad_ray.networks import build_network
from glad_ray.process_state import restored
from glad_ray.spec import Network

pytestmark = pytest.mark.unit


def in_both_ways(compute, *inputs):
    """Values and gradients of `compute`, as usual and with deterministic algorithms."""
    found = []
    for deterministic in (False, True):
        leaves = [each.clone().requires_grad_() for each in inputs]
        with restored():
            torch.use_deterministic_algorithms(deterministic)
            value = compute(*leaves)
            weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value)
            found.append((value.detach(), *torch.autograd.grad((value * weights).sum(), leaves)))
    return found


@pytest.mark.parametrize("warp", [rotate, lambda images, by: scale(images, 1 + by, 1 - by)], ids=["rotate", "scale"])
@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (3, 3, 17, 32)])
def test_warps(warp, shape):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=rng, dtype=torch.float64)
    by = torch.tensor([-0.2, 0.0, 0.26], dtype=torch.float64)
    usual, deterministic = in_both_ways(lambda images: warp(images, by)(images), images)
    torch.testing.assert_close(deterministic, usual, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("resolution", [128, 144, 256])
def test_adaptive_pooling_of_vgg11(resolution):
    """Windows of 8, 9 and 16 maps over 7, of different sizes each."""
    rng = torch.Generator().manual_seed(0)
    network = build_network(Network(name="vgg11", width=4), channels=1, resolution=resolution, classes=2, rng=rng)
    images = torch.randn(2, 1, resolution, resolution, generator=rng)
    usual, deterministic = in_both_ways(network.double(), images.double())
    torch.testing.assert_close(deterministic, usual, rtol=1e-10, atol=1e-10)
