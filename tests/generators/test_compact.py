"""The layout of generators that are trained here: no margin, plain activations, whatever the resolution."""

import pytest
import torch
import torch.nn.functional as F

from glad_ray.errors import UserError
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl import MappingNetwork, SynthesisNetwork
from glad_ray.generators.stylegan_xl.activation import FilteredLeakyReLU
from glad_ray.generators.stylegan_xl.filters import layer_filters
from glad_ray.stylegan.checks import check_settings
from glad_ray.stylegan.schedule import compact, compact_start
from glad_ray.stylegan.settings import MappingSettings, SynthesisSettings


def settings(resolution: int, channels: int = 1) -> SynthesisSettings:
    return compact(resolution=resolution, channel_base=64, channel_max=6, image_channels=channels, w_dim=5)


@pytest.mark.parametrize(
    ("resolution", "sides"),
    [
        (32, [8, 16, 16, 32, 32, 32]),
        (28, [7, 14, 14, 28, 28, 28]),
        (64, [8, 16, 16, 32, 32, 64, 64, 64]),
        (8, [8, 8]),
        (30, [15, 30, 30, 30]),
    ],
)
def test_every_side_has_two_layers_and_the_last_is_for_colours(resolution, sides):
    made = settings(resolution, 3)
    assert [layer.out_size for layer in made.layers] == sides
    assert made.image_shape == (3, resolution, resolution)
    check_settings(MappingSettings(z_dim=4, w_dim=5, classes=2, embedding_rows=2), made)


@pytest.mark.parametrize("resolution", [50, 36 + 2, 100])
def test_a_resolution_that_does_not_halve_is_refused(resolution):
    assert compact_start(resolution) is None
    with pytest.raises(UserError, match=f"cannot have {resolution} pixels"):
        settings(resolution)


def test_the_activation_is_a_leaky_relu_with_its_gain_and_clamp():
    layer = settings(32).layers[0]
    activate = FilteredLeakyReLU(layer, **layer_filters(layer)).double()
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, layer.out_channels, 8, 8, generator=rng, dtype=torch.float64) * 200
    x.requires_grad_()
    expected = (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-256, 256)
    weights = torch.randn(x.shape, generator=rng, dtype=torch.float64)
    kept = weights.clone()
    torch.testing.assert_close(activate(x), expected)
    (ours,) = torch.autograd.grad((activate(x) * weights).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(weights, kept)
    assert 0 < (expected.abs() == 256).sum() < x.numel()


def test_single_and_double_precision_agree_forward_and_backward():
    made, mapping = settings(32), MappingSettings(z_dim=4, w_dim=5, classes=3, embedding_rows=3)
    state = random_state(mapping, made, torch.Generator().manual_seed(1))
    z = torch.randn(4, 4, generator=torch.Generator().manual_seed(2))
    found = []
    for dtype in (torch.float32, torch.float64):
        own = {name: value.to(dtype).requires_grad_() for name, value in state.items()}
        codes = MappingNetwork(mapping, own).codes(z.to(dtype), torch.tensor([0, 1, 2, 0]), made.codes)
        images = SynthesisNetwork(made, own)(codes)
        names = [f"synthesis.{layer.name}.weight" for layer in made.layers]
        grads = torch.autograd.grad(images.square().sum(), [own[name] for name in names])
        found.append((images.double(), *(grad.double() for grad in grads)))
    for single, double in zip(*found, strict=True):
        scale = double.abs().max()
        assert scale > 0
        torch.testing.assert_close(single / scale, double / scale, rtol=0, atol=2e-5)
