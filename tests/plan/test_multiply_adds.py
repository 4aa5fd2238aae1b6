import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glad_ray.networks import build_network
from glad_ray.plan.multiply_adds import multiply_adds, network_multiply_adds
from glad_ray.spec import Network, dataset_facts
from glad_ray.spec.network import NETWORK_NAMES

WIDTHS = {"convnet": (None, 33), "alexnet": (None, 31), "vgg11": (None, 17), "resnet18": (None, 15), "vit": (128, 48)}
LAYOUTS = [(1, 28), (1, 32), (3, 32), (3, 64), (3, 128), (3, 256)]


@pytest.mark.parametrize(("channels", "resolution"), LAYOUTS)
@pytest.mark.parametrize("name", NETWORK_NAMES)
@pytest.mark.parametrize("which", [0, 1])
def test_networks_do_as_many_as_counted(name, which, channels, resolution):
    _check(Network(name=name, width=WIDTHS[name][which]), channels, resolution)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_of_the_convnet_counts(depth):
    _check(Network(width=8, depth=depth), 3, 32)


def test_a_foreign_network_is_not_counted():
    network = Network(name="torchvision.models:resnet50")
    assert network.foreign  # what a plan goes by when it says so
    assert multiply_adds(network, channels=3, resolution=32, classes=7) == 0


def _check(network, channels, resolution):
    built = build_network(network, channels=channels, resolution=resolution, classes=7, rng=None).eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        built(torch.empty(2, channels, resolution, resolution, device="meta"))
    counted = multiply_adds(network, channels=channels, resolution=resolution, classes=7)
    assert 2 * 2 * counted == counter.get_total_flops()


def test_a_dataset_gives_channels_and_classes():
    network = Network(name="vit")
    assert network_multiply_adds(network, dataset_facts("fashion-mnist"), 32) == multiply_adds(
        network, channels=1, resolution=32, classes=10
    )
