"""The networks give the official classes' images, features and gradients.

float64 judges every case. float32 is held to the same limits where the golden numbers, themselves float32, are exact
enough to judge it: not through all 26 layers of the 128-pixel network, where a sample near zero takes the other slope.
"""

import pytest
import torch

from tests.generators.golden_stylegan import CASES, golden_network, l2_error, largest_error, like

F_LAYERS = [(case, n) for case in CASES for n in golden_network(case).facts["f_layers"]]
DTYPES = [torch.float32, torch.float64]
MAPPED = [case for case in CASES if "z" in golden_network(case).io]
FULL_DEPTH = [(case, dtype) for case in CASES for dtype in DTYPES if (case, dtype) != ("super128", torch.float32)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MAPPED)
def test_codes(case, dtype):
    network = golden_network(case)
    io, mapping = network.io, network.mapping(dtype)
    labels = torch.tensor(network.facts["labels"])
    z = io["z"].to(dtype)
    ws = mapping.codes(z, labels, network.settings.codes)
    assert largest_error(mapping(z, labels), io["ws"]) < 1e-5
    assert torch.equal(ws, mapping(z, labels)[:, None].expand_as(ws))
    truncated = mapping.codes(z, labels, network.settings.codes, truncation=0.7)
    assert largest_error(truncated, io["ws_psi07"][:, None].expand_as(truncated)) < 1e-5
    # Some codes alone: the others are as they were.
    first = mapping.codes(z, labels, network.settings.codes, truncation=0.7, truncated=4)
    assert torch.equal(first[:, :4], truncated[:, :4])
    assert torch.equal(first[:, 4:], ws[:, 4:])


@pytest.mark.parametrize(("case", "dtype"), FULL_DEPTH)
def test_images_from_codes(case, dtype):
    network = golden_network(case)
    io, synthesis = network.io, network.synthesis(dtype)
    wp = io["wp"].to(dtype, copy=True).requires_grad_()
    images = synthesis(wp)
    assert largest_error(like(images, io["image_from_wp"]), io["image_from_wp"]) < 1e-5
    (gradient,) = torch.autograd.grad((images * io["fixed"]).sum(), wp)
    assert l2_error(gradient, io["grad_wp"]) < 1e-3
    if "ws" in io:
        images = synthesis(io["ws"].to(dtype)[:, None].expand_as(wp))
        assert largest_error(like(images, io["image_from_z"]), io["image_from_z"]) < 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "n"), F_LAYERS)
def test_images_from_features(case, n, dtype):
    network = golden_network(case)
    io, synthesis = network.io, network.synthesis(dtype)
    wp, f = io["wp"].to(dtype), io[f"F{n}_feature"].to(dtype, copy=True).requires_grad_()
    assert largest_error(like(synthesis.to_f(wp[: len(f)], n), io[f"F{n}_to_f"]), io[f"F{n}_to_f"]) < 1e-5

    codes = wp[: len(f), n + 1 :].clone().requires_grad_()
    images = synthesis.from_f(codes, f, n)
    assert largest_error(like(images, io[f"F{n}_image"]), io[f"F{n}_image"]) < 1e-5
    loss = (images * io["fixed"][: len(f)]).sum()
    f_gradient, w_gradient = torch.autograd.grad(loss, (f, codes))
    assert l2_error(like(f_gradient, io[f"F{n}_grad_feature"]), io[f"F{n}_grad_feature"]) < 1e-3
    assert l2_error(w_gradient, io[f"F{n}_grad_ws"]) < 1e-3


@pytest.mark.parametrize("case", CASES)
def test_every_layer(case):
    """Statistics after each layer: names the first wrong one."""
    network = golden_network(case)
    wp, synthesis = network.io["wp"], network.synthesis(torch.float32)
    x = synthesis.to_f(wp, 0)
    for facts, layer, w in zip(network.facts["statistics"][1:], synthesis.layers, wp[:, 1:].unbind(1), strict=True):
        x = layer(x, w)
        middle = x.shape[-1] // 2
        patch = x[0, 0, middle - 1 : middle + 2, middle - 1 : middle + 2]
        scale = facts["absmax"]
        assert float(x.mean()) == pytest.approx(facts["mean"], abs=1e-5 * scale), facts["name"]
        assert float(x.std()) == pytest.approx(facts["std"], abs=1e-5 * scale), facts["name"]
        assert float(x.abs().max()) == pytest.approx(scale, rel=1e-5), facts["name"]
        torch.testing.assert_close(patch, torch.tensor(facts["patch"]), rtol=0, atol=1e-5 * scale, msg=facts["name"])
