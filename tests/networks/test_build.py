"""Building: initialisation, families, widths, and the mistakes one can make."""

import copy
import math
from functools import partial

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.networks import REFERENCE_NETWORKS, build_network, build_reference_network, check_network
from glad_ray.spec import Network
from glad_ray.spec.networks import ARCHITECTURES, NETWORK_NAMES
from glad_ray.spec.networks.convnet import standard_depth
from tests.golden_numbers import images

NORMS = ("instancenorm", "batchnorm", "layernorm", "groupnorm", "none")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def small(name, **choices):
    return Network(name=name, width=8, **choices)


def build(spec, channels=3, resolution=32, seed=0):
    return build_network(spec, channels=channels, resolution=resolution, classes=10, rng=rng(seed))


@pytest.mark.parametrize("name", [name for name in NETWORK_NAMES if name != "vit"])
@pytest.mark.parametrize("resolution", [32, 128])
def test_initialisation_is_pytorchs_default(name, resolution):
    network = build(small(name), resolution=resolution, seed=5)
    construct = import_callable(ARCHITECTURES[name].implementation, "Network", "a classifier")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        default = construct(small(name).shape(channels=3, resolution=resolution, classes=10))
    ours, theirs = network.state_dict(), default.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_initialisation_of_the_vision_transformer():
    network = build(Network(name="vit", width=128), seed=1)
    tokens = torch.cat([network.positions.detach().flatten(), network.class_token.detach().flatten()])
    assert abs(float(tokens.mean())) < 5 / math.sqrt(len(tokens))
    assert abs(float(tokens.var()) - 1) < 5 * math.sqrt(2 / len(tokens))
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            assert 0.98 * bound < float(module.weight.detach().abs().max()) <= bound
        if isinstance(module, torch.nn.LayerNorm):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert not module.bias.any()


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_the_rng_decides_and_the_global_generator_is_left_alone(name):
    before = torch.get_rng_state()
    first, second, other = (build(small(name), seed=seed) for seed in (3, 3, 4))
    x = images(2, 3, 32, 32, 0)
    assert torch.equal(first(x), second(x))  # in training mode: dropout too
    assert not torch.equal(first(x), other(x))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", [name for name, kind in ARCHITECTURES.items() if kind.takes_norm])
@pytest.mark.parametrize("resolution", [32, 128])
def test_every_norm(name, norm, resolution):
    network = build(Network(name=name, width=8, norm=norm), resolution=resolution).eval()
    kinds = {"instancenorm": torch.nn.GroupNorm, "groupnorm": torch.nn.GroupNorm, "batchnorm": torch.nn.BatchNorm2d}
    wanted = kinds.get(norm, torch.nn.LayerNorm)
    found = [
        m for m in network.modules() if isinstance(m, (torch.nn.GroupNorm, torch.nn.BatchNorm2d, torch.nn.LayerNorm))
    ]
    assert bool(found) == (norm != "none")
    for module in found:
        assert isinstance(module, wanted)
        if wanted is torch.nn.GroupNorm:
            assert module.num_groups == (4 if norm == "groupnorm" else module.num_channels)
    assert torch.isfinite(network(images(2, 3, resolution, resolution, 0))).all()


@pytest.mark.parametrize("rng_or_none", [None, rng()])
def test_running_statistics_are_always_set(rng_or_none):
    network = build_network(Network(width=4, norm="batchnorm"), channels=1, resolution=32, classes=10, rng=rng_or_none)
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, torch.full_like(buffer, 1 if name.endswith("running_var") else 0))


@pytest.mark.parametrize("name", NETWORK_NAMES)
@pytest.mark.parametrize(("channels", "resolution"), [(1, 28), (1, 32), (3, 64), (3, 128), (3, 256), (3, 512)])
def test_images_to_logits_and_features(name, channels, resolution):
    check_network(small(name), channels=channels, resolution=resolution, classes=10)
    network = build(small(name), channels, resolution).eval()
    x = images(2, channels, resolution, resolution, 0)
    assert network(x).shape == (2, 10)
    assert network.embed(x).shape[0] == 2
    assert network.embed(x).ndim == 2


@pytest.mark.parametrize(
    ("resolution", "vgg_side", "resnet_windows", "vit_patch"), [(64, None, False, 4), (80, 7, True, 16)]
)
def test_the_family_follows_from_the_resolution(resolution, vgg_side, resnet_windows, vit_patch):
    assert build(small("vgg11"), resolution=resolution).output_side == vgg_side
    assert build(small("resnet18"), resolution=resolution).windows == resnet_windows
    assert build(small("vit"), resolution=resolution).patch == vit_patch


def test_grey_images_of_28_pixels_are_padded_to_32():
    for name in ("convnet", "alexnet", "vgg11"):
        padded = build(small(name), 1, 28).eval()
        plain = build(small(name), 1, 32).eval()
        x = images(2, 1, 28, 28, 0)
        assert torch.allclose(padded(x), plain(torch.nn.functional.pad(x, (2, 2, 2, 2))), atol=1e-6), name


def test_standard_widths_and_proportions():
    for name in NETWORK_NAMES:
        explicit = build(Network(name=name, width=ARCHITECTURES[name].standard_width))
        assert [p.shape for p in explicit.parameters()] == [p.shape for p in build(Network(name=name)).parameters()]
    vgg = build(Network(name="vgg11", width=16))
    assert [m.out_channels for m in vgg.modules() if isinstance(m, torch.nn.Conv2d)] == [16, 32, 64, 64] + [128] * 4
    alexnet = build(Network(name="alexnet", width=32))
    assert [m.out_channels for m in alexnet.modules() if isinstance(m, torch.nn.Conv2d)] == [32, 48, 64, 48, 48]
    heads = {512: (8, 64), 128: (2, 64), 96: (1, 64), 32: (1, 32)}
    for width, expected in heads.items():
        attention = build(Network(name="vit", width=width)).branches[0]
        assert (attention.heads, attention.head_dim) == expected


@pytest.mark.parametrize(
    ("resolution", "depth"), [(16, 3), (28, 3), (32, 3), (64, 4), (96, 5), (128, 5), (256, 6), (512, 7)]
)
def test_depth_follows_from_the_resolution(resolution, depth):
    assert standard_depth(resolution) == depth


@pytest.mark.parametrize("name", REFERENCE_NETWORKS)
def test_every_reference_name_builds(name):
    resolution = 32 if name.endswith("CIFAR") or name in ("ConvNetD3", "ConvNetGAP") else 256
    choices = {} if name.startswith("ConvNetW") else {"width": 4}
    network = build_reference_network(name, channels=3, resolution=resolution, classes=7, rng=None, **choices)
    assert [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1].out_features == 7


def test_reference_norms_keep_their_slips():
    def norms(name, norm, resolution):
        network = build_reference_network(
            name, channels=3, resolution=resolution, classes=10, width=4, norm=norm, rng=None
        )
        return {type(m).__name__ for m in network.modules() if "Norm" in type(m).__name__}

    assert norms("ResNet18", "batchnorm", 128) == set()
    assert norms("ResNet18", "batch", 128) == {"BatchNorm2d"}
    assert norms("ResNet18CIFAR", "none", 32) == {"BatchNorm2d"}
    assert norms("VGG11BN", "instancenorm", 128) == set()
    assert norms("ConvNet", "batchnorm", 32) == {"BatchNorm2d"}


@pytest.mark.parametrize(
    ("spec", "resolution", "sentence"),
    [
        (Network(depth=6), 32, "use depth 5 or less"),
        (small("vgg11"), 28, "VGG11 cannot take images of 28"),
        (small("alexnet"), 4, "AlexNet cannot take images of 4"),
        (small("vit"), 136, "multiple of 16 pixels, not 136"),
        (small("convnet"), 1024, "set the network's depth"),
        (small("alexnet", norm="batchnorm"), 32, "alexnet has no norm"),
        (small("resnet18", depth=3), 32, "resnet18 has a fixed depth"),
        (Network(width=6, norm="groupnorm"), 32, "multiple of 4 channels"),
    ],
)
@pytest.mark.parametrize("asked", [check_network, partial(build_network, rng=None)])
def test_mistakes_are_said_in_one_sentence(spec, resolution, sentence, asked):
    with pytest.raises(UserError, match=sentence):
        asked(spec, channels=3, resolution=resolution, classes=10)


@pytest.mark.parametrize(
    ("name", "norm", "sentence"),
    [
        ("VGG11CIFR", "instancenorm", "Did you mean 'VGG11CIFAR'"),
        ("ConvNet", "batchnrm", "Did you mean 'batchnorm'"),
    ],
)
def test_unknown_reference_names_are_said_in_one_sentence(name, norm, sentence):
    with pytest.raises(UserError, match=sentence):
        build_reference_network(name, channels=3, resolution=32, classes=10, norm=norm, rng=None)


def test_dropout_is_drawn_from_the_networks_own_generator():
    network = build(Network(name="vit", width=32), seed=2)
    twin = copy.deepcopy(network)
    x = images(2, 3, 32, 32, 0)
    before = torch.get_rng_state()
    first, second = network(x), network(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, twin(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(network.eval()(x), twin.eval()(x))


def test_dropout_keeps_nine_tenths_and_the_mean():
    network = build(Network(name="vit", width=128), seed=0)
    masks = network.empty_masks(13, torch.device("cpu"))
    network.draw_masks(masks)
    values = masks[0].flatten()[:100_000]
    assert len(values) == 100_000
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.9])
    assert abs(float((values > 0).float().mean()) - 0.9) < 5 * math.sqrt(0.09 / 100_000)
