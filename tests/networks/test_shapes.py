"""What the shape of a network says of it without PyTorch is what the network is."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glad_ray.networks import build_network
from glad_ray.spec import Network
from glad_ray.spec.networks import ARCHITECTURES, NETWORK_NAMES
from tests.golden_numbers import images

LAYOUTS = [(1, 28), (1, 32), (3, 32), (3, 64), (3, 128), (3, 256)]
NORMED = [name for name, kind in ARCHITECTURES.items() if kind.takes_norm]
DEEP = [name for name, kind in ARCHITECTURES.items() if kind.takes_depth]


@pytest.mark.parametrize(("channels", "resolution"), LAYOUTS)
@pytest.mark.parametrize("width", ["standard", "odd"])
@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_networks_have_and_do_as_much_as_counted(name, width, channels, resolution):
    odd = 4 * ARCHITECTURES[name].small_width - 1
    _check(Network(name=name, width=None if width == "standard" else odd), channels, resolution)


@pytest.mark.parametrize("norm", ["batchnorm", "layernorm", "groupnorm", "none"])
@pytest.mark.parametrize("name", NORMED)
def test_every_norm_counts(name, norm):
    _check(Network(name=name, width=8, norm=norm), 3, 32)
    _check(Network(name=name, width=8, norm=norm), 1, 28)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("name", DEEP)
def test_depth_counts(name, depth):
    _check(Network(name=name, width=8, depth=depth), 3, 32)


def _check(network, channels, resolution):
    shape = network.shape(channels=channels, resolution=resolution, classes=7)
    built = build_network(network, channels=channels, resolution=resolution, classes=7, rng=None).eval().to("meta")
    assert shape.parameters == sum(parameter.numel() for parameter in built.parameters())
    with FlopCounterMode(display=False) as counter:
        built(torch.empty(2, channels, resolution, resolution, device="meta"))
    assert 2 * 2 * shape.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_networks_with_dropout_draw_in_training_and_no_others_do(name):
    rng = torch.Generator().manual_seed(0)
    network = build_network(Network(name=name, width=8), channels=3, resolution=32, classes=10, rng=rng)
    x = images(2, 3, 32, 32, 0)
    assert torch.equal(network(x), network(x)) != ARCHITECTURES[name].dropout
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_network_of_the_width_of_small_is_small(name):
    kind = ARCHITECTURES[name]
    assert kind.small_width < kind.standard_width
    assert Network(name=name, width=kind.standard_width).key == Network(name=name).key == name
    assert Network(name=name, width=kind.small_width).title == f"{kind.title} (width {kind.small_width})"


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_plan_may_count_what_cannot_be_built(name):
    shape = Network(name=name).shape(channels=3, resolution=5, classes=10)
    assert shape.parameters > 0
    assert shape.multiply_adds > 0
