"""Networks of other packages: how they are called, that one seed gives one network, and what goes wrong."""

import copy
import random

import numpy as np
import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.networks import build_network, check_network, flat_parameters, set_dropout_rng
from glad_ray.spec import Network
from glad_ray.training import train_epoch
from tests.golden_numbers import images
from tests.networks import other_networks

OURS = "tests.networks.other_networks"


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def named(name, /, **options):
    return Network(name=name if ":" in name else f"{OURS}:{name}", options=options)


def build(spec, channels=1, resolution=32, seed=0):
    return build_network(spec, channels=channels, resolution=resolution, classes=10, rng=rng(seed))


def check(spec, channels=1, resolution=32):
    check_network(spec, channels=channels, resolution=resolution, classes=10)


@pytest.fixture
def untouched():
    """The global generators are in the end as they were."""

    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = states()
    yield
    assert states() == before


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_in_the_style_of_timm_is_told_classes_channels_and_options(channels):
    network = build(named("small", width=6), channels)
    assert network.network[0].weight.shape == (6, channels, 3, 3)
    assert network.training
    assert network(images(2, channels, 32, 32, 0)).shape == (2, 10)


def test_a_torchvision_network_sees_grey_images_three_times():
    network = build(named("torchvision.models:mobilenet_v3_small")).eval()
    x = images(2, 1, 32, 32, 0)
    logits = network(x)
    assert logits.shape == (2, 10)
    assert torch.equal(logits, network.network(x.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("spec", [named("torchvision.models:mobilenet_v3_small"), named("draws_elsewhere")])
def test_the_rng_alone_decides(spec):
    x = images(2, 1, 32, 32, 0)
    first = build(spec, seed=3)
    first_pass = first(x)
    torch.rand(1), np.random.rand(), random.random()
    second, other = build(spec, seed=3), build(spec, seed=4)
    assert torch.equal(flat_parameters(first), flat_parameters(second))
    assert torch.equal(first_pass, second(x))
    assert not torch.equal(flat_parameters(first), flat_parameters(other))
    fresh = build(spec, seed=3)
    other.load_state_dict(fresh.state_dict())
    assert not torch.equal(fresh(x), other(x))  # the same parameters and other masks


def test_dropout_differs_from_pass_to_pass_and_follows_the_rng_set(untouched):
    network = build(named("small"))
    x = images(4, 1, 32, 32, 0)
    twin = copy.deepcopy(network)
    first, second = network(x), network(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, twin(x))
    set_dropout_rng(network, rng(8))
    again = network(x)
    set_dropout_rng(network, rng(8))
    assert torch.equal(network(x), again)
    network.eval()
    assert torch.equal(network(x), network(x))


def test_one_seed_gives_one_training_whatever_else_draws():
    x, labels = images(6, 1, 32, 32, 0), torch.arange(6)

    def trained():
        draws = rng(5)
        network = build_network(named("small"), channels=1, resolution=32, classes=10, rng=draws)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        for _ in range(2):
            train_epoch(
                network,
                optimiser,
                lambda batch: x[batch],
                labels,
                batch_size=3,
                augmentation="color_crop_cutout_flip_scale_rotate",
                rng=draws,
            )
            torch.rand(3)
        return torch.cat([value.flatten().double() for value in network.state_dict().values()])

    assert torch.equal(trained(), trained())


def test_a_network_to_be_loaded_needs_an_rng_before_training():
    network = build_network(named("small"), channels=1, resolution=32, classes=10, rng=None)
    assert network.eval()(images(2, 1, 32, 32, 0)).shape == (2, 10)
    with pytest.raises(AssertionError, match="dropout_rng"):
        network.train()(images(2, 1, 32, 32, 0))


def test_auxiliary_outputs_are_left():
    network = build(named("WithAuxiliaryHead"))
    x = images(2, 1, 32, 32, 0)
    network(x).sum().backward()
    assert network.network.network[0].weight.grad is not None
    assert network.network.head[0].weight.grad is None
    assert network.eval()(x).shape == (2, 10)


def test_the_check_takes_no_storage_where_it_can_and_draws_nothing(untouched):
    other_networks.BUILT_ON.clear()
    check(named("small"))
    assert other_networks.BUILT_ON == ["meta"]
    check(named("reads_its_values"))
    assert other_networks.BUILT_ON[-1] == "cpu"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("mobilenet_v3_small", {"dropout": 0.5}),
        ("swin_t", {}),
        ("vit_b_16", {"image_size": 32}),
        ("googlenet", {"init_weights": False}),
        ("get_model", {"name": "shufflenet_v2_x0_5"}),
        ("regnet_y_400mf", {}),
    ],
)
def test_torchvision_networks_pass_the_check(name, options):
    check(named(f"torchvision.models:{name}", **options))


@pytest.mark.parametrize(
    ("spec", "resolution", "sentence"),
    [
        (named("no_such_package.nets:small"), 32, r"cannot be imported \(ModuleNotFoundError: No module named"),
        (named("tests.networks.broken_import:small"), 32, r"\(RuntimeError: the licence server\): install its package"),
        (named("smal"), 32, "Unknown callable of tests.networks.other_networks 'smal'. Did you mean 'small'"),
        (named("torchvision.models:resnet81"), 32, "Did you mean 'resnet18'"),
        (named("NUMBER"), 32, "cannot be called, it is of type int: name a class or a function"),
        (named("small", widht=3), 32, r"refuses num_classes=10, in_chans=1, widht=3 \(TypeError: .*change its options"),
        (named("without_channels"), 32, "unexpected keyword argument 'in_chans'.*a function of your own"),
        (named("not_a_module"), 32, "made list, not a torch.nn.Module"),
        (named("small"), 2, r"cannot take images of 1 x 2 x 2 \(RuntimeError: .*change the resolution, or set its"),
        (named("WithAuxiliaryHead"), 15, "cannot take images of 1 x 15 x 15"),  # in training alone
        (named("torchvision.models:vit_b_32"), 32, "Expected 224 but got 32!.*such as image_size"),
        (named("six_classes_too_many"), 32, r"a tensor of shape \[2, 16\] for 2 images of 10 .* of shape \[2, 10\]"),
        (named("maps_instead"), 32, r"a tensor of shape \[2, 10, 30, 30\]"),
        (named("Mapping"), 32, "gives dict for 2 images"),
    ],
)
def test_mistakes_are_said_in_one_sentence(spec, resolution, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        check(spec, resolution=resolution)
    assert "\n" not in str(caught.value)


def test_building_finds_what_needs_no_images_and_the_first_pass_the_rest():
    with pytest.raises(UserError, match="made list"):
        build(named("not_a_module"))
    with pytest.raises(UserError, match=r"shape \[3, 16\] for 3 images"):
        build(named("six_classes_too_many"))(images(3, 1, 32, 32, 0))
