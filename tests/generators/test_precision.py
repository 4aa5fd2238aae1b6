"""Half precision: close to float32, nothing overflows, latents and images keep their own precision."""

from dataclasses import replace

import pytest
import torch

from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl.synthesis import RGBLayer, SynthesisNetwork
from glad_ray.spec import RandomStyleGAN

RECORD = RandomStyleGAN(resolution=16, num_layers=5, channel_max=8, w_dim=16, calibrate=False)
HALVES = [torch.float16, torch.bfloat16]
# Rounding to 11 and 8 bits, once or twice a layer; gradients also jump where a sample near zero takes the other slope.
IMAGE_LIMIT = {torch.float16: 3e-3, torch.bfloat16: 2e-2}
GRADIENT_LIMIT = {torch.float16: 3e-2, torch.bfloat16: 0.1}


def network(record, precision=None, settings=None):
    rng = torch.Generator().manual_seed(0)
    state = random_state(record.mapping_settings, record.synthesis_settings, rng)
    for layer in record.synthesis_settings.layers:
        state[f"synthesis.{layer.name}.bias"] = torch.randn(layer.out_channels, generator=rng) / 4
        state[f"synthesis.{layer.name}.magnitude_ema"] = torch.tensor(0.5)
    return SynthesisNetwork(settings or record.synthesis_settings, state, precision)


def drawn(record, space, *, scale=1.0):
    rng = torch.Generator().manual_seed(1)
    shapes = {**record.latent_shapes(space), "upstream": record.synthesis_settings.image_shape}
    given = {name: torch.randn(2, *shape, generator=rng) for name, shape in shapes.items()}
    return given | {"f": scale * given["f"]}


def images_and_gradients(synthesis, given, n):
    f, w = (given[kind].clone().requires_grad_() for kind in ("f", "w"))
    images = synthesis.from_f(w, f, n)
    return [images.detach(), *torch.autograd.grad(images, (f, w), given["upstream"])]


def errors(found, expected):
    assert all(tensor.dtype == torch.float32 for tensor in found)
    return [float((one - other).norm() / other.norm()) for one, other in zip(found, expected, strict=True)]


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("half", HALVES)
def test_images_and_gradients_are_close_to_those_of_float32(half, kernel_size):
    record = RECORD.replace(kernel_size=kernel_size)
    given = drawn(record, "f1")
    expected = images_and_gradients(network(record), given, 1)
    image, *gradients = errors(images_and_gradients(network(record, half), given, 1), expected)
    assert 0 < image < IMAGE_LIMIT[half]
    assert max(gradients) < GRADIENT_LIMIT[half]


@pytest.mark.parametrize("half", HALVES)
def test_images_and_gradients_from_codes(half):
    ws = torch.randn(2, RECORD.synthesis_settings.codes, RECORD.w_dim, generator=torch.Generator().manual_seed(2))
    outcomes = []
    for synthesis in (network(RECORD, half), network(RECORD)):
        leaf = ws.clone().requires_grad_()
        images = synthesis(leaf)
        outcomes.append([images.detach(), *torch.autograd.grad(images.square().sum(), leaf), synthesis.to_f(ws, 2)])
    image, gradient, features = errors(*outcomes)
    assert 0 < image < IMAGE_LIMIT[half]
    assert 0 < features < IMAGE_LIMIT[half]
    assert gradient < GRADIENT_LIMIT[half]


def test_layers_that_are_not_to_be_half_are_float32():
    layers = RECORD.synthesis_settings.layers
    settings = replace(
        RECORD.synthesis_settings, layers=tuple(replace(layer, half=i > 1) for i, layer in enumerate(layers))
    )
    synthesis = network(RECORD, torch.float16, settings)
    assert [layer.bias.dtype for layer in synthesis.layers] == [torch.float32] * 2 + [torch.float16] * (len(layers) - 2)
    given = drawn(RECORD, "f0")
    x = given["f"]
    for layer, w in zip(synthesis.layers, given["w"].unbind(1), strict=True):
        x = layer(x, w)
        assert x.dtype == layer.bias.dtype
    none = replace(settings, layers=tuple(replace(layer, half=False) for layer in layers))
    exact = network(RECORD, torch.float16, none).from_f(given["w"], given["f"], 0)
    assert exact.equal(network(RECORD).from_f(given["w"], given["f"], 0))


def test_what_is_small_stays_in_float32():
    for layer in network(RECORD, torch.float16).layers:
        small = [layer.affine.weight, layer.affine.bias, layer.input_gain]
        small += [layer.kernel] if isinstance(layer, RGBLayer) else [layer.power]
        assert {tensor.dtype for tensor in small} == {torch.float32}


def test_large_activations_are_clamped_in_float16():
    # Beyond the clamp by far.
    given = drawn(RECORD, "f0", scale=1e3)
    expected, *_ = images_and_gradients(network(RECORD), given, 0)
    found, f_found, w_found = images_and_gradients(network(RECORD, torch.float16), given, 0)
    assert float(expected.abs().max()) > 10
    assert float((found - expected).norm() / expected.norm()) < IMAGE_LIMIT[torch.float16]
    assert f_found.isfinite().all()
    assert w_found.isfinite().all()
    unclamped = replace(
        RECORD.synthesis_settings,
        layers=tuple(replace(layer, clamp=None) for layer in RECORD.synthesis_settings.layers),
    )
    beyond = network(RECORD, settings=unclamped).from_f(given["w"], given["f"], 0)
    assert float((beyond - expected).norm() / expected.norm()) > 1
