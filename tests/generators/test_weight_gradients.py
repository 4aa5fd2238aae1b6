"""A network built from weights that require gradients gives them: beside a plain, slow layer in float64."""

import pytest
import torch
import torch.nn.functional as F

from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.spec import RandomStyleGAN

RECORD = RandomStyleGAN(resolution=16, num_layers=4, channel_max=4, w_dim=6, calibrate=False)
LEARNED = ("weight", "bias", "affine.weight", "affine.bias")


def plain_images(settings, state, f, codes):
    """Kernel by kernel and sample by sample, as the papers' formulas read."""
    x = f
    for layer, w in zip(settings.layers, codes.unbind(1), strict=True):
        weight, bias, affine, affine_bias = (state[f"synthesis.{layer.name}.{name}"] for name in LEARNED)
        style = w @ affine.T / affine.shape[1] ** 0.5 + affine_bias
        gain = state[f"synthesis.{layer.name}.magnitude_ema"] ** -0.5
        if layer.to_rgb:
            kernels = weight * style[:, None, :, None, None] / layer.in_channels**0.5
        else:
            kernels = weight * style[:, None, :, None, None]
            kernels = kernels / kernels.square().sum(dim=(2, 3, 4), keepdim=True).sqrt()
        outputs = [
            F.conv2d(image[None], gain * kernel, padding=layer.kernel_size - 1)
            for image, kernel in zip(x, kernels, strict=True)
        ]
        x = torch.cat(outputs) + bias[:, None, None]
        if not layer.to_rgb:
            x = plain_activation(layer, state, x)
    return x * settings.output_scale


def plain_activation(layer, state, x):
    up, down = (state[f"synthesis.{layer.name}.{name}"] for name in ("up_filter", "down_filter"))
    n, channels, size = x.shape[:3]
    stuffed = x.new_zeros(n, channels, size, layer.up_factor, size, layer.up_factor)
    stuffed[:, :, :, 0, :, 0] = x
    stuffed = stuffed.flatten(4, 5).flatten(2, 3)
    x = full_convolution(F.pad(stuffed, layer.padding * 2), torch.outer(up, up) * layer.up_factor**2)
    x = (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-layer.clamp, layer.clamp)
    x = full_convolution(x, down if down.ndim == 2 else torch.outer(down, down))
    return x[:, :, :: layer.down_factor, :: layer.down_factor]


def full_convolution(x, taps):
    channels = x.shape[1]
    return F.conv2d(x, taps.expand(channels, 1, *taps.shape), groups=channels)


def problem(kernel_size):
    record = RECORD.replace(kernel_size=kernel_size)
    rng = torch.Generator().manual_seed(0)
    state = random_state(record.mapping_settings, record.synthesis_settings, rng)
    state = {name: value.double() for name, value in state.items()}
    for layer in record.synthesis_settings.layers:
        prefix = f"synthesis.{layer.name}"
        state[f"{prefix}.bias"] = torch.randn(layer.out_channels, generator=rng).double() / 4
        state[f"{prefix}.magnitude_ema"] = torch.tensor(0.6, dtype=torch.float64)
    shapes = {**record.latent_shapes("f0"), "upstream": record.synthesis_settings.image_shape}
    given = {name: torch.randn(2, *shape, generator=rng).double() for name, shape in shapes.items()}
    learned = [f"synthesis.{layer.name}.{name}" for layer in record.synthesis_settings.layers for name in LEARNED]
    for name in learned:
        state[name].requires_grad_()
    return record.synthesis_settings, state, learned, given


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_gradients_of_weights_and_latents(kernel_size):
    settings, state, learned, given = problem(kernel_size)
    f, w = (given[kind].requires_grad_() for kind in ("f", "w"))
    leaves = [*(state[name] for name in learned), f, w]
    images = SynthesisNetwork(settings, state).from_f(w, f, 0)
    plain = plain_images(settings, state, f, w)
    torch.testing.assert_close(images, plain, rtol=0, atol=1e-7 * float(plain.detach().abs().max()))
    found = torch.autograd.grad(images, leaves, given["upstream"])
    expected = torch.autograd.grad(plain, leaves, given["upstream"])
    for name, one, other in zip([*learned, "f", "w"], found, expected, strict=True):
        assert float((one - other).norm()) < 1e-6 * float(other.norm()), name


def test_gradients_are_finite_differences():
    settings, state, learned, given = problem(3)

    def loss():
        return (SynthesisNetwork(settings, state).from_f(given["w"], given["f"], 0) * given["upstream"]).sum()

    gradients = torch.autograd.grad(loss(), [state[name] for name in learned])
    for name, gradient in zip(learned, gradients, strict=True):
        entry, weights = int(gradient.abs().argmax()), state[name].detach().view(-1)
        here, step = weights[entry].item(), 1e-6
        losses = []
        for there in (here + step, here - step):
            weights[entry] = there
            losses.append(float(loss().detach()))
        weights[entry] = here
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(float(gradient.flatten()[entry]), rel=1e-4), name


def test_gradients_reach_the_state_through_the_whole_network():
    settings, state, learned, _ = problem(3)
    names = [*learned, *(f"synthesis.input.{name}" for name in ("weight", "affine.weight", "affine.bias"))]
    leaves = [state[name].requires_grad_() for name in names]
    ws = torch.randn(2, settings.codes, settings.w_dim, dtype=torch.float64)
    gradients = torch.autograd.grad(SynthesisNetwork(settings, state)(ws).square().sum(), leaves)
    assert [name for name, gradient in zip(names, gradients, strict=True) if not gradient.abs().max() > 0] == []
