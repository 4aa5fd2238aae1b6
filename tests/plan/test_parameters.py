import pytest

from glad_ray.networks import build_network
from glad_ray.plan.parameters import expert_bytes, parameter_count
from glad_ray.spec import Experts, ExpertSet, Network
from glad_ray.spec.network import NETWORK_NAMES

WIDTHS = {"convnet": (None, 33), "alexnet": (None, 31), "vgg11": (None, 17), "resnet18": (16, 15), "vit": (128, 48)}
LAYOUTS = [(1, 28), (1, 32), (3, 32), (3, 64), (3, 128)]


@pytest.mark.parametrize(("channels", "resolution"), LAYOUTS)
@pytest.mark.parametrize("name", NETWORK_NAMES)
@pytest.mark.parametrize("which", [0, 1])
def test_networks_have_as_many_as_counted(name, which, channels, resolution):
    _check(Network(name=name, width=WIDTHS[name][which]), channels, resolution)


@pytest.mark.parametrize("norm", ["batchnorm", "layernorm", "groupnorm", "none"])
@pytest.mark.parametrize("name", ["convnet", "vgg11", "resnet18"])
def test_every_norm_counts(name, norm):
    _check(Network(name=name, width=8, norm=norm), 3, 32)
    _check(Network(name=name, width=8, norm=norm), 1, 28 if name != "resnet18" else 30)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_of_the_convnet_counts(depth):
    _check(Network(width=8, depth=depth), 3, 32)


def _check(network, channels, resolution):
    built = build_network(network, channels=channels, resolution=resolution, classes=7, rng=None)
    counted = parameter_count(network, channels=channels, resolution=resolution, classes=7)
    assert counted == sum(parameter.numel() for parameter in built.parameters())


def test_bytes_of_an_expert_set_follow_what_is_kept_and_how():
    def size(**fields):
        experts = Experts(count=3, epochs=5, **fields)
        return expert_bytes(
            ExpertSet(dataset="fashion-mnist", resolution=28, held_out=0, network=Network(width=4), experts=experts)
        )

    parameters = parameter_count(Network(width=4), channels=1, resolution=28, classes=10)
    assert size() == 3 * 6 * parameters * 4
    assert size(keep_until=2) == 3 * 3 * parameters * 4
    assert size(dtype="bfloat16") == size() / 2
