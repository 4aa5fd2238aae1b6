"""NCFM against its released code: every recorded case of its distance, loss, sampling network and iterations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glad_ray.algorithms.ncfm import (
    LEAST_PHASE,
    SCALE,
    SamplingNetwork,
    blend,
    characteristic_distance,
    characteristic_function,
    few_frequencies,
    matching_loss,
    normalised,
)
from glad_ray.augment import UNIFORMS, Draw, apply
from glad_ray.augment.operations import crop_reach, cutout_size
from glad_ray.networks import build_network, flat_parameters, load_flat_parameters
from glad_ray.optimisers.latents import Moments, step_latents
from glad_ray.spec import SGD, AdamW, Network
from tests.golden_numbers import golden, images, parameter, s_like

ARRAYS, FACTS = golden("successors/ncfm_datm/ncfm")
DTYPES = {"f32": torch.float32, "f64": torch.float64}
TOLERANCE = {"f32": 1e-4, "f64": 1e-10}
MIXED_TOLERANCE = 1e-3
"""of float32 gradients where the root amplifies what rounding does to a small phase term, as the record says"""
NOISY = ("cf/c3/a0.999_b0.001/f32",)
CF_CASES = sorted(key.removesuffix("/loss") for key in ARRAYS if key.startswith("cf/c") and key.endswith("/loss"))
IDENTICAL = sorted(key.removesuffix("/loss") for key in ARRAYS if key.startswith("cf/identical") and "loss" in key)
MATCHES = [key.removeprefix("match/") for key in FACTS if key.startswith("match/")]
SAMPLED = [key for key in FACTS if key.startswith("samplenet/")]
CALIBRATED = [key for key in FACTS if key.startswith("calib/")]
ITERATIONS = [key for key in FACTS if key.startswith("iter/")]
MEAN = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
STD = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]


def _s(shape, salt, precision):
    """Rounded to float32 first, as all recorded inputs are."""
    return torch.from_numpy(s_like(tuple(shape), salt).astype(np.float32)).to(DTYPES[precision])


def _scaled(shape, salt, precision, factor, offset=0.0):
    values = (factor * s_like(tuple(shape), salt) + offset).astype(np.float32)
    return torch.from_numpy(values).to(DTYPES[precision])


def _network(precision, offset=0):
    """The ConvNet of width 8 whose parameters begin with the stream `offset`."""
    network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    assert [list(each.shape) for each in network.parameters()] == [shape for _, shape in FACTS["network"]["params"]]
    with torch.no_grad():
        for i, (name, target) in enumerate(network.named_parameters()):
            target.copy_(torch.from_numpy(parameter(i + offset, name, tuple(target.shape), np.sqrt(2))))
    return network.to(DTYPES[precision])


def _images(n, salt, precision):
    return images(n, 3, 32, 32, salt).to(DTYPES[precision])


def _far(actual, expected):
    actual, expected = torch.as_tensor(actual).double(), torch.as_tensor(expected).double()
    assert actual.shape == expected.shape
    return float((actual - expected).norm() / expected.norm())


def _close(actual, name, tolerance):
    assert _far(actual.detach(), ARRAYS[name]) < tolerance, name


def _norm_and_projection(tensor, i=0):
    values = tensor.detach().double().flatten()
    return torch.stack([values.norm(), values @ torch.from_numpy(s_like(tuple(values.shape), 500 + i))])


def _of_gradients(precision, *, noisy):
    return MIXED_TOLERANCE if noisy and precision == "f32" else TOLERANCE[precision]


def _weights(mode):
    return tuple(float(part[1:]) for part in mode.split("_"))


def _distance(x, y, t, weights, *, normal):
    if normal:
        x, y = normalised(x), normalised(y)
    return characteristic_distance(characteristic_function(x, t), characteristic_function(y, t), *weights)


@pytest.mark.parametrize("case", CF_CASES)
def test_characteristic_distance(case):
    _, name, mode, precision = case.split("/")
    facts = FACTS[f"cf/{name}"]
    rows, columns = (facts["real"], facts["syn"]), facts["dim"]
    salts = facts["salts"]
    x = _s((rows[0], columns), salts[0], precision)
    y = _scaled((rows[1], columns), salts[1], precision, 0.8, 0.2).requires_grad_()
    t = _scaled((facts["freqs"], columns), salts[2], precision, np.sqrt(3)).requires_grad_()
    alpha, beta = _weights(mode)
    loss = _distance(x, y, t, (alpha, beta), normal=facts["normalised"])
    of_features, of_frequencies = torch.autograd.grad(loss, (y, t))
    tolerance = _of_gradients(precision, noisy=case in NOISY)
    _close(loss, f"{case}/loss", TOLERANCE[precision])
    _close(of_frequencies, f"{case}/dt", tolerance)
    if f"{case}/dsyn" in ARRAYS:
        _close(of_features, f"{case}/dsyn", tolerance)
    else:
        # The amplitude of one row is 1 whatever it is.
        assert (rows[1], beta) == (1, 0)
        assert float(of_features.abs().max()) < 1e-6


@pytest.mark.parametrize("case", IDENTICAL)
def test_identical_features(case):
    facts = FACTS["cf/identical"]
    salts = FACTS["cf/c0"]["salts"]
    x = _s((FACTS["cf/c0"]["real"], facts["dim"]), salts[0], "f64")[: facts["rows"]]
    t = _scaled((facts["freqs"], facts["dim"]), salts[2], "f64", np.sqrt(3))
    y = x.clone().requires_grad_()
    weights = _weights(case.split("/")[2])
    loss = _distance(x, y, t, weights, normal=False)
    (grad,) = torch.autograd.grad(loss, y)
    loss = float(loss.detach())
    assert loss == pytest.approx(float(ARRAYS[f"{case}/loss"]), rel=1e-10, abs=0)
    assert loss == pytest.approx((weights[1] * LEAST_PHASE) ** 0.5, rel=1e-10, abs=0)
    np.testing.assert_equal(float(grad.abs().max()), float(ARRAYS[f"{case}/dsyn_max_abs"]))


def _match(facts, precision, t):
    """The matching loss of a case, its synthetic images and their features."""
    network = _network(precision, facts["param_offset"])
    with torch.no_grad():
        real = network.embed(_images(facts["n_real"], facts["salt_real"], precision))
    x = _images(facts["n_syn"], facts["salt_syn"], precision).requires_grad_()
    features = network.embed(x)
    return matching_loss(real, features, t, facts["alpha"], facts["beta"]), x, features


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", MATCHES)
def test_matching_loss(case, precision):
    facts = FACTS[f"match/{case}"]
    t = _scaled((facts["freqs"], 128), facts["t_salt"], precision, np.sqrt(3))
    loss, x, features = _match(facts, precision, t)
    (grad,) = torch.autograd.grad(loss, x)
    recorded = f"match/{case}/{precision}"
    _close(loss, f"{recorded}/loss", TOLERANCE[precision])
    tolerance = _of_gradients(precision, noisy=facts["dsyn_f32_vs_f64_rel"] > TOLERANCE["f32"])
    _close(_norm_and_projection(grad), f"{recorded}/dsyn_norm_proj", tolerance)
    if f"{recorded}/dsyn" in ARRAYS:
        _close(grad, f"{recorded}/dsyn", tolerance)
    if f"{recorded}/feat_syn" in ARRAYS:
        _close(features, f"{recorded}/feat_syn", TOLERANCE[precision])


def _sampling_network(precision):
    network = SamplingNetwork(128)
    shapes = [shape for _, shape in FACTS["sampling_network"]["params"]]
    assert [list(each.shape) for each in network.parameters()] == shapes
    with torch.no_grad():
        for i, (name, target) in enumerate(network.named_parameters()):
            target.copy_(torch.from_numpy(parameter(i, name, tuple(target.shape), np.sqrt(2))))
    return network.to(DTYPES[precision])


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", SAMPLED)
def test_sampling_network(case, precision):
    facts, recorded = FACTS[case], f"{case}/{precision}"
    noise = _scaled((facts["noise_rows"], facts["dim"]), facts["noise_salt"], precision, np.sqrt(3))
    psi = _sampling_network(precision)
    t = few_frequencies(noise) if facts["t_batchsize"] < 16 else psi(noise)
    tolerance = TOLERANCE[precision]
    _close(t, f"{recorded}/t", tolerance)
    loss, x, _ = _match(FACTS[f"match/{facts['match_case']}"], precision, t)
    _close(loss, f"{recorded}/loss", tolerance)
    # The code repeats each frequency: it changes nothing.
    assert ARRAYS[f"{recorded}/t_tile_max_diff"] == 0
    repeated, _, _ = _match(FACTS[f"match/{facts['match_case']}"], precision, t.tile(4, 1))
    assert _far(repeated.detach(), loss.detach()) < tolerance
    if facts["t_batchsize"] < 16:
        return
    of_images, *of_psi = torch.autograd.grad(loss, (x, *psi.parameters()))
    actual = torch.stack([_norm_and_projection(grad, i) for i, grad in enumerate(of_psi)], 1)
    # A bias before batch norm has no gradient but for rounding.
    names = [name for name, _ in psi.named_parameters()]
    free = torch.tensor([i % 4 != 1 for i in range(len(names))])
    assert all(name.endswith("bias") for name, is_free in zip(names, free.tolist(), strict=True) if not is_free)
    for numbers, which in zip(actual, ("norm", "proj"), strict=True):
        expected = torch.from_numpy(ARRAYS[f"{recorded}/psi_grad_{which}"])
        assert _far(numbers[free], expected[free]) < tolerance
        assert float(numbers[~free].abs().max()) < 1e-3 * float(numbers[free].abs().max())
    if precision == "f64":
        _close(_norm_and_projection(of_images), f"{recorded}/dsyn_norm_proj", tolerance)
    else:
        _close(of_images, f"{recorded}/dsyn", tolerance)
    running = [value for name, value in psi.named_buffers() if "running" in name]
    actual = torch.stack([_norm_and_projection(value, i) for i, value in enumerate(running)], 1)
    for numbers, which in zip(actual, ("norm", "proj"), strict=True):
        _close(numbers, f"{recorded}/running_{which}", tolerance)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", CALIBRATED)
def test_calibration(case, precision):
    facts, recorded = FACTS[case], f"{case}/{precision}"
    x = _images(len(facts["labels"]), facts["salt"], precision).requires_grad_()
    loss = F.cross_entropy(_network(precision, facts["param_offset"])(x), torch.tensor(facts["labels"]))
    (grad,) = torch.autograd.grad(loss, x)
    _close(loss, f"{recorded}/loss", TOLERANCE[precision])
    if precision == "f64":
        _close(_norm_and_projection(grad), f"{recorded}/dsyn_norm_proj", TOLERANCE[precision])
    else:
        _close(grad, f"{recorded}/dsyn", TOLERANCE[precision])


def _draw(values):
    """The recorded draws of colour, crop and cutout, as uniform numbers that make them."""
    (b, s, c), _, shifts, centers = values[:3], values[3], values[4:6], values[6:8]
    reach, choices = crop_reach(32), 32 + (cutout_size(32) % 2 == 0)
    uniforms = [b, s, c]
    uniforms += [*((shift + reach + 0.5) / (2 * reach + 1) for shift in shifts), 0.0]
    uniforms += [*((center + 0.5) / choices for center in centers), 0.0]
    assert len(uniforms) == 3 * UNIFORMS
    names = ("color", "crop", "cutout")
    return Draw(
        names, torch.zeros(1, dtype=torch.int64), torch.tensor([uniforms], dtype=torch.float64), sequential=True
    )


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", ITERATIONS)
def test_iterations(case, precision):
    """Whole iterations, put together from what a run puts together: one class after another, with stated draws."""
    facts, dtype = FACTS[case], DTYPES[precision]
    classes, ipc = facts["classes"], facts["ipc"]
    optimiser = SGD(momentum=facts["momentum"]) if facts["momentum"] else AdamW(weight_decay=facts["weight_decay"])
    start = (0.5 + 0.2 * images(len(classes) * ipc, 3, 32, 32, 730)).clamp(0, 1).to(dtype)
    pixels = {"pixels": start.clone()}
    moments = Moments.new(optimiser, pixels)
    labels = torch.tensor(classes).repeat_interleave(ipc)
    real = {c: (0.5 + 0.2 * images(facts["n_real"], 3, 32, 32, 740 + c)).clamp(0, 1).to(dtype) for c in classes}
    network, trained = _network(precision), _network(precision, 40)
    initial = flat_parameters(network)
    psi = _sampling_network(precision)
    before = flat_parameters(psi)
    draws, draws_calibration = (
        [_draw([float(value) for _, values in step for value in values]) for step in facts[name]]
        for name in ("draws", "draws_calib")
    )
    losses = []

    def decoded(x):
        """Four images of each, after augmentation's normalisation."""
        parts = [x[:, :, 16 * i : 16 * i + 16, 16 * j : 16 * j + 16] for i in (0, 1) for j in (0, 1)]
        big = F.interpolate(torch.cat(parts), size=32, mode="bilinear", align_corners=False)
        return (big - MEAN.to(dtype)) / STD.to(dtype)

    def step(loss_of, number):
        x = pixels["pixels"].clone().requires_grad_()
        loss = loss_of(x[labels == classes[number]], number)
        (grad,) = torch.autograd.grad(loss, x)
        step_latents(optimiser, {"pixels": facts["lr"]}, pixels, {"pixels": grad}, moments)
        losses.append(float(loss.detach()))

    for iteration in range(facts["iterations"]):
        pixels["pixels"].clamp_(0, 1)
        load_flat_parameters(
            network, blend(initial, flat_parameters(trained), float(np.float32(facts["blend"][iteration])))
        )
        first = iteration * len(classes)

        def matched(x, number, first=first, iteration=iteration):
            drawn, salt = draws[first + number], 10 * iteration + number
            with torch.no_grad():
                normal = (real[classes[number]] - MEAN.to(dtype)) / STD.to(dtype)
                of_real = network.embed(apply(normal, drawn))
            if facts["sampling_net"]:
                noise = _scaled((4, 128), 3400 + salt, precision, np.sqrt(3))
                t = psi(noise).detach()
            else:
                t = _scaled((64, 128), 3500 + salt, precision, np.sqrt(3))
            return matching_loss(of_real, network.embed(apply(decoded(x), drawn)), t, 0.5, 0.5)

        def calibrated(x, number, first=first):
            logits = trained(apply(decoded(x), draws_calibration[first + number]))
            return F.cross_entropy(logits, torch.full((len(logits),), classes[number]))

        for number in range(len(classes)):
            step(matched, number)
        _check_after_match(case, iteration, precision, pixels["pixels"])
        for number in range(len(classes)):
            step(calibrated, number)
    expected = np.asarray(ARRAYS[f"{case}/losses_{precision}"])
    np.testing.assert_allclose(
        _in_order(losses, len(classes), facts["iterations"]), expected, rtol=TOLERANCE[precision]
    )
    if precision == "f64":
        _close(_norm_and_projection(pixels["pixels"]), f"{case}/data_end_f64_norm_proj", 1e-10)
        _close(_norm_and_projection(pixels["pixels"] - start), f"{case}/change_f64_norm_proj", 1e-10)
    else:
        _close(pixels["pixels"], f"{case}/data_end_f32", 1e-4)
    if facts["sampling_net"]:
        # What the code does to psi: nothing.
        assert float((flat_parameters(psi) - before).abs().max()) == ARRAYS[f"{case}/psi_max_change_{precision}"] == 0


def _in_order(losses, classes, iterations):
    """All matching losses, then all of the calibration."""
    both = np.reshape(losses, (iterations, 2, classes))
    return np.concatenate([both[:, 0].ravel(), both[:, 1].ravel()])


def _check_after_match(case, iteration, precision, pixels):
    if precision == "f64":
        expected = torch.from_numpy(ARRAYS[f"{case}/data_after_match{iteration}"]).flatten()
        assert _far(_norm_and_projection(pixels), expected) < 1e-10
    else:
        _close(pixels, f"{case}/data_after_match{iteration}_f32", 1e-4)


def test_the_scale_is_that_of_the_code():
    x, y, t = (_s((4, 6), salt, "f64") for salt in (1, 2, 3))
    assert float(matching_loss(x, y, t, 1, 1)) == pytest.approx(SCALE * float(_distance(x, y, t, (1, 1), normal=True)))
