"""Filter designs, resampling, the filtered leaky ReLU and modulated convolution, against golden numbers and scipy."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import scipy.special
import torch
import torch.nn.functional as F

from glad_ray.errors import UserError
from glad_ray.generators.stylegan_xl import activation
from glad_ray.generators.stylegan_xl.activation import (
    FilteredLeakyReLU,
    shrink,
    shrink_matrix,
    stretch,
    stretch_matrix,
)
from glad_ray.generators.stylegan_xl.filters import layer_filters, radial_filter, separable_filter
from glad_ray.generators.stylegan_xl.modulation import demodulated_kernel, modulated_convolution
from glad_ray.generators.stylegan_xl.synthesis import RGBLayer
from glad_ray.spec import RandomStyleGAN
from tests.generators.golden_stylegan import CASES, golden_network, largest_error
from tests.golden_numbers import golden

ARRAYS, FACTS = golden("stylegan_xl/operations")
OPERATIONS = {name: torch.from_numpy(value) for name, value in ARRAYS.items()}
FILTERS = [name for name in FACTS if name.startswith("filter")]
LAYER = RandomStyleGAN(channel_max=3).synthesis_settings.layers[0]


@pytest.mark.parametrize("name", FILTERS)
def test_filter_design(name):
    facts = FACTS[name]
    design = radial_filter if facts["radial"] else separable_filter
    taps = design(facts["numtaps"], facts["cutoff"], facts["width"], float(facts["fs"]))
    assert float(taps.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(taps.float(), OPERATIONS[name], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("taps", "cutoff", "width", "rate"), [(12, 2.0, 12.0, 32.0), (24, 5.0, 1.0, 64.0), (48, 3.0, 9.0, 64.0)]
)
def test_filter_design_is_scipys(taps, cutoff, width, rate):
    expected = scipy.signal.firwin(taps, cutoff, width=width, fs=rate)
    np.testing.assert_allclose(separable_filter(taps, cutoff, width, rate), expected, rtol=0, atol=1e-12)
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width / (rate / 2)))
    window = np.kaiser(taps, beta)
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(*np.meshgrid(x, x))
    expected = scipy.special.j1(2 * cutoff * np.pi * radius) / (np.pi * radius) * np.outer(window, window)
    np.testing.assert_allclose(radial_filter(taps, cutoff, width, rate), expected / expected.sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_layers_are_designed_as_official_ones(case):
    network = golden_network(case)
    for layer in network.settings.layers:
        designed = layer_filters(layer)
        assert set(designed) == {name for name in ("up_filter", "down_filter") if not layer.to_rgb}
        for name, taps in designed.items():
            official = network.state[f"synthesis.{layer.name}.{name}"]
            torch.testing.assert_close(taps, official, rtol=0, atol=1e-7)


def test_resampling_golden():
    x, gain = OPERATIONS["up_x"], 2.0
    y0 = stretch(x, OPERATIONS["filter1"] * gain, 2, crop=11 - 9)
    assert largest_error(y0, OPERATIONS["up_y0"]) < 1e-6
    # Padding -6, -9 of a map with a border of 3 that is zero: 2 of the 3 are cropped with the padding, the last is 0.
    y1 = stretch(F.pad(x, (1, 1, 1, 1)), OPERATIONS["filter2"] * 2 * gain, 4, crop=23 - 2)
    assert largest_error(y1, OPERATIONS["up_y1"]) < 1e-6
    y2 = F.conv2d(F.pad(x, (6, 6, 6, 6)), OPERATIONS["filter7"].expand(3, 1, 12, 12), stride=2, groups=3)
    assert largest_error(y2, OPERATIONS["up_y2"]) < 1e-6
    y3 = shrink(F.pad(x, (6, 5, 6, 5)), OPERATIONS["filter1"], 2, padding=0)
    assert largest_error(y3, OPERATIONS["up_y3"]) < 1e-6
    y4 = stretch(x, OPERATIONS["filter1"] * gain, 2, crop=0)[:, :, 8:-6, :]
    assert largest_error(y4, OPERATIONS["up_y4"]) < 1e-6


@pytest.mark.parametrize(
    ("taps", "factor", "size", "crop"), [(12, 2, 9, 2), (24, 4, 7, 21), (12, 2, 20, 0), (5, 3, 8, 1)]
)
def test_stretch_and_shrink_are_scipys_and_adjoint(taps, factor, size, crop):
    rng = np.random.default_rng(0)
    f, x = rng.normal(size=taps), rng.normal(size=(2, 3, size, size + 1))
    expected = scipy.signal.upfirdn(f, scipy.signal.upfirdn(f, x, up=factor, axis=2), up=factor, axis=3)
    expected = expected[:, :, crop : expected.shape[2] - crop, crop : expected.shape[3] - crop]
    stretched = stretch(torch.from_numpy(x), torch.from_numpy(f), factor, crop)
    np.testing.assert_allclose(stretched, expected, rtol=0, atol=1e-12)

    g = torch.from_numpy(rng.normal(size=stretched.shape))
    shrunk = shrink(g, torch.from_numpy(f), factor, crop)
    assert float((stretched * g).sum()) == pytest.approx(float((torch.from_numpy(x) * shrunk).sum()), rel=1e-12)

    columns = stretch_matrix(torch.from_numpy(f), size, factor, crop)
    rows = stretch_matrix(torch.from_numpy(f), size + 1, factor, crop)
    torch.testing.assert_close(columns @ torch.from_numpy(x) @ rows.T, stretched, rtol=0, atol=1e-12)
    columns = shrink_matrix(torch.from_numpy(f), g.shape[2], factor, crop)
    rows = shrink_matrix(torch.from_numpy(f), g.shape[3], factor, crop)
    torch.testing.assert_close(columns @ g @ rows.T, shrunk, rtol=0, atol=1e-12)


def _filtered(name):
    """The golden operation as a layer, the size of its input, and what the golden input lacks to be padded fully."""
    facts = FACTS[name]
    up_filter, down_filter = OPERATIONS[facts["fu"]], OPERATIONS[facts["fd"]]
    out = OPERATIONS[f"fl_y{name[-1]}"].shape[-1]
    border = {"fl_y1": 2}.get(name, 0)
    layer = replace(
        LAYER,
        in_size=12 + 2 * border,
        out_size=out,
        kernel_size=1,
        radial=down_filter.ndim == 2,
        up_factor=facts["up"],
        up_taps=len(up_filter),
        down_factor=facts["down"],
        down_taps=len(down_filter),
        padding=tuple(facts["padding"][:2]),
        clamp=facts["clamp"],
    )
    assert layer.conv_crop == border
    return FilteredLeakyReLU(layer, up_filter, down_filter), border


@pytest.mark.parametrize("form", ["depthwise", "matrices"])
@pytest.mark.parametrize("name", ["fl_y0", "fl_y1", "fl_y2"])
def test_filtered_leaky_relu_golden(name, form, monkeypatch):
    monkeypatch.setattr(activation, "depthwise_is_fast", lambda x: form == "depthwise")
    layer, border = _filtered(name)
    x = OPERATIONS["fl_x"].clone().requires_grad_()
    y = layer(x + OPERATIONS["fl_b"][:, None, None])
    assert largest_error(y, OPERATIONS[name]) < 1e-5
    (gradient,) = torch.autograd.grad(y, x, OPERATIONS[f"fl_g{name[-1]}"])
    expected = OPERATIONS[f"fl_gx{name[-1]}"]
    assert largest_error(F.pad(gradient, [border] * 4), expected) < 1e-5


def test_asymmetric_filtered_leaky_relu_golden():
    # Not a layout of StyleGAN-XL: the parts still compose to it.
    x = OPERATIONS["fl_x"] + OPERATIONS["fl_b"][:, None, None]
    up = stretch(x, OPERATIONS["filter1"] * 2, 2, crop=0)[:, :, 9:-10, 12:-7]
    y = shrink((F.leaky_relu(up, 0.2) * 2**0.5).clamp(-256, 256), OPERATIONS["filter3"], 2, padding=0)
    assert largest_error(y, OPERATIONS["fl_y4"]) < 1e-5


def test_layouts_that_are_not_centred_are_refused():
    with pytest.raises(UserError, match="not centred"):
        FilteredLeakyReLU(replace(LAYER, padding=(9, 9)), OPERATIONS["filter0"], OPERATIONS["filter0"])


@pytest.mark.parametrize("name", ["fl_y0", "fl_y2"])
def test_filtered_leaky_relu_derivative(name):
    layer = _filtered(name)[0].double()
    rng = torch.Generator().manual_seed(0)
    # Large enough for the clamp of fl_y0 to act.
    x = (3 * torch.randn(1, 3, 12, 12, dtype=torch.float64, generator=rng)).requires_grad_()
    assert torch.autograd.gradcheck(layer, x, eps=1e-6, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("name", ["mc0", "mc1"])
def test_modulated_convolution_golden(name):
    kernel, power = demodulated_kernel(OPERATIONS[f"{name}_w"])
    x, style = (OPERATIONS[f"{name}_{part}"].clone().requires_grad_() for part in "xs")
    y = modulated_convolution(x, style, kernel, power, torch.zeros(4), torch.tensor(FACTS[name]["input_gain"]))
    assert largest_error(y, OPERATIONS[f"{name}_y"]) < 1e-5
    x_gradient, style_gradient = torch.autograd.grad(y, (x, style), OPERATIONS[f"{name}_g"])
    assert largest_error(x_gradient, OPERATIONS[f"{name}_gx"]) < 1e-5
    assert largest_error(style_gradient, OPERATIONS[f"{name}_gs"]) < 1e-5


def test_rgb_layer_golden():
    # The style is given as the code: the affine map and the kernel's 1 / sqrt(c_in) undo one another.
    layer = RGBLayer(
        replace(LAYER, in_channels=5, out_channels=4, kernel_size=1, to_rgb=True, clamp=1.5),
        {
            "rgb.weight": OPERATIONS["mc2_w"],
            "rgb.bias": torch.zeros(4),
            "rgb.affine.weight": 5 * torch.eye(5),
            "rgb.affine.bias": torch.zeros(5),
            "rgb.magnitude_ema": torch.tensor(FACTS["mc2"]["input_gain"] ** -2),
        },
        "rgb",
    )
    x, style = (OPERATIONS[f"mc2_{part}"].clone().requires_grad_() for part in "xs")
    y = layer.convolve(x, style)
    assert largest_error(y, OPERATIONS["mc2_y"]) < 1e-5
    x_gradient, style_gradient = torch.autograd.grad(y, (x, style), OPERATIONS["mc2_g"])
    assert largest_error(x_gradient, OPERATIONS["mc2_gx"]) < 1e-5
    assert largest_error(style_gradient, OPERATIONS["mc2_gs"]) < 1e-5
    clamped = layer.activate(OPERATIONS["fl_x"] + OPERATIONS["fl_b"][:, None, None])
    assert largest_error(clamped, OPERATIONS["fl_y3"]) < 1e-6


@pytest.mark.parametrize(("kernel_size", "crop"), [(3, 0), (3, 2), (3, 4), (1, 0), (1, 2)])
def test_modulated_convolution_is_that_of_a_kernel_per_image(kernel_size, crop):
    rng = torch.Generator().manual_seed(0)
    x, style, weight, bias = (
        torch.randn(shape, dtype=torch.float64, generator=rng)
        for shape in [(2, 3, 11, 11), (2, 3), (4, 3, kernel_size, kernel_size), (4,)]
    )
    expected = []
    for image, scales in zip(x, style, strict=True):
        kernel = weight * scales[:, None, None]
        kernel = 0.7 * kernel / kernel.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        expected.append(F.conv2d(image[None], kernel, padding=kernel_size - 1)[0] + bias[:, None, None])
    size = 11 + kernel_size - 1
    expected = torch.stack(expected)[:, :, crop : size - crop, crop : size - crop]
    kernel, power = demodulated_kernel(weight)
    found = modulated_convolution(x, style, kernel, power, bias, torch.tensor(0.7, dtype=torch.float64), crop)
    # 1e-8 under the root of the demodulation.
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
