"""Every architecture against the reference code: parameters, logits, features, loss and gradients."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glad_ray.networks import build_reference_network
from tests.golden_numbers import golden, images, s_like, set_parameters
from tests.networks.kinks import recorded_choices

ARRAYS, FACTS = golden("networks")

# How the reference code was asked for each case; a plain name is the case's own up to its resolution.
REQUESTS = {
    "ConvNet_d3_r32": {"name": "ConvNet", "depth": 3},
    "ConvNet_d5_r128": {"name": "ConvNetD5"},
    "ConvNet_d7_r512": {"name": "ConvNetD7"},
    "ConvNet_BN_d3_r32": {"name": "ConvNetBN", "depth": 3},
    "ConvNet_GN_d3_r32": {"name": "ConvNetGN", "depth": 3},
    "ConvNet_NN_d3_r32": {"name": "ConvNetNN", "depth": 3},
    "ConvNetGAP_d3_r32": {"name": "ConvNetGAP", "depth": 3},
    "ResNet18_normbatch_r128": {"name": "ResNet18", "norm": "batch"},
    "ResNet18_normbatchnorm_r128": {"name": "ResNet18", "norm": "batchnorm"},
}


# Each takes as long as all others together.
LONG = ("ConvNet_d7_r512", "ResNet18_r128")


@pytest.fixture(
    scope="module", params=[pytest.param(case, marks=pytest.mark.full if case in LONG else ()) for case in FACTS]
)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def network(case):
    facts = FACTS[case]
    network = build_reference_network(
        **REQUESTS.get(case, {"name": case.split("_")[0]}),
        channels=3,
        resolution=facts["res"],
        classes=10,
        rng=None,
    )
    set_parameters(network, facts["gain"])
    return network.eval()


@pytest.fixture(scope="module")
def x(case):
    facts = FACTS[case]
    return images(facts["batch"], 3, facts["res"], facts["res"], facts["salt"])


def test_parameters_have_the_order_and_shapes_of_the_reference(case, network):
    ours = [(name.rsplit(".", 1)[-1], list(p.shape)) for name, p in network.named_parameters()]
    tokens = {"pos_embedding": "positions", "cls_token": "class_token"}
    theirs = [(tokens.get(name, name.rsplit(".", 1)[-1]), shape) for name, shape in FACTS[case]["params"]]
    assert ours == theirs
    assert sum(int(np.prod(shape)) for _, shape in ours) == FACTS[case]["n_params"]


def test_logits_and_features(case, network, x):
    with torch.no_grad():
        np.testing.assert_allclose(network(x), ARRAYS[f"{case}/logits_f64"], rtol=0, atol=1e-4)
        if f"{case}/embed" in ARRAYS:
            np.testing.assert_allclose(network.embed(x), ARRAYS[f"{case}/embed"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.full if case.endswith(("_r256", "_r512")) else ())
        for case in FACTS
        if f"{case}/loss" in ARRAYS
    ],
    indirect=True,
    scope="module",
)
def test_loss_and_gradients(case, network, x):
    """In float64, so that only the recording's own rounding is left; what that decided is listed in `kinks`."""
    network = copy.deepcopy(network).double()
    with recorded_choices(case):
        loss = F.cross_entropy(network(x.double()), torch.tensor(FACTS[case]["labels"]))
    np.testing.assert_allclose(loss.detach(), ARRAYS[f"{case}/loss"], rtol=1e-4)
    grads = torch.autograd.grad(loss, list(network.parameters()))
    norms = np.array([float(grad.norm()) for grad in grads])
    projections = np.array([(grad.numpy() * s_like(tuple(grad.shape), 500 + i)).sum() for i, grad in enumerate(grads)])
    recorded = ARRAYS[f"{case}/grad_norm"]

    # A bias before an instance norm has a gradient of exactly zero; what is recorded of it is rounding.
    zero = norms < 1e-12 * norms.max()
    assert (recorded[zero] < 1e-5 * norms.max()).all()
    np.testing.assert_allclose(norms[~zero], recorded[~zero], rtol=1e-4)
    np.testing.assert_array_less(np.abs(projections - ARRAYS[f"{case}/grad_proj"])[~zero], 1e-4 * recorded[~zero])
