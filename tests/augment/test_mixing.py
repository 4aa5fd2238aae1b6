"""CutMix and MixUp: boxes and whole trainings of the codes of IDC and NCFM, and what is drawn."""

import math

import numpy as np
import pytest
import torch

from glad_ray.augment import Box, Mix, cutmix_box, cutmix_of, draw_mix, mix_images, mixed_cross_entropy
from glad_ray.networks import build_network, flat_parameters
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import Network
from glad_ray.spec.images.augmentation import Mixing
from tests.golden_numbers import golden, images, s_like, set_parameters

IDC, OF_IDC = golden("successors/hpd_idc_dream_rded/idc")
_, OF_NCFM = golden("successors/ncfm_datm/ncfm")


@pytest.mark.parametrize("case", OF_IDC["cutmix_boxes"], ids=str)
def test_boxes_of_idc(case):
    assert list(cutmix_box(case["side"], case["side"], case["lam"], case["cx"], case["cy"])) == case["box"]


@pytest.mark.parametrize("case", OF_NCFM["cutmix_box"], ids=str)
def test_boxes_of_ncfm(case):
    height, width = case["shape"][2:]
    assert list(cutmix_box(height, width, case["lam"], case["cx"], case["cy"])) == case["box"]


@pytest.mark.parametrize("case", OF_IDC["net_pass"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pass_of_training_of_idc(case, dtype):
    facts = OF_IDC["net_pass"][case]
    script = facts["script"]
    network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
    set_parameters(network, math.sqrt(2))
    network.to(dtype).train()
    optimiser, labels, losses, mixed = SGD(network.parameters(), 0.01, 0.9, 5e-4), torch.arange(8), [], 0
    for batch in range(facts["n_data"] // 8):
        mix = None
        if script["r"][batch] < facts["mix_p"]:
            row, column = script["c"][2 * mixed : 2 * mixed + 2]
            box = cutmix_box(32, 32, script["lam"][mixed], row, column)
            assert list(box) == facts["boxes"][mixed]
            mix = cutmix_of(32, 32, box, torch.tensor(script["perm"][mixed]))
            mixed += 1
        x = images(8, 3, 32, 32, facts["salts"][batch]).to(dtype)
        loss = mixed_cross_entropy(network(mix_images(x, mix)), labels, mix)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    parameters = flat_parameters(network).double().numpy()
    name, tolerance = ("f32", 1e-5) if dtype == torch.float32 else ("f64", 1e-10)
    assert np.mean(losses) == pytest.approx(facts[f"mean_loss_{name}"], rel=tolerance)
    projection = float((parameters * s_like(parameters.shape, 3000)).sum())
    assert projection == pytest.approx(facts[f"params_proj_{name}"], rel=tolerance)
    np.testing.assert_allclose(parameters, IDC[f"net_pass/{case}/params"], rtol=1e-5, atol=1e-7)


def test_a_box_is_pasted_from_the_partner():
    x = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 4, 6)
    mix = cutmix_of(4, 6, Box(1, 2, 4, 5), torch.tensor([2, 0, 1]))
    expected = x.clone()
    for image, partner in enumerate([2, 0, 1]):
        for row in range(1, 4):
            for column in range(2, 5):
                expected[image, 0, row, column] = partner
    assert torch.equal(mix_images(x, mix), expected)
    assert mix.own_share == pytest.approx(1 - 9 / 24)
    assert mix_images(x, None) is x


def test_labels_are_shared_as_the_images_are():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels, mix = torch.tensor([0, 3, 1, 4]), Mix(torch.tensor([1, 0, 3, 2]), 0.3, None)
    classes = torch.eye(5, dtype=torch.float64)
    shares = 0.3 * classes[labels] + 0.7 * classes[labels[mix.partners]]
    expected = -(shares * logits.log_softmax(1)).sum(1).mean()
    for targets in (labels, classes[labels]):
        torch.testing.assert_close(mixed_cross_entropy(logits, targets, mix), expected)


@pytest.mark.parametrize("alpha", [1.0, 0.8, 0.2])
def test_shares_are_of_a_beta_distribution(alpha):
    mixing = Mixing(kind="mixup", alpha=alpha, probability=0.5)
    rng = torch.Generator().manual_seed(0)
    drawn = [draw_mix(mixing, 4, 8, 8, rng) for _ in range(4000)]
    shares = np.array([mix.own_share for mix in drawn if mix is not None])
    assert len(shares) / len(drawn) == pytest.approx(0.5, abs=0.03)
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_what_is_drawn_follows_from_the_rng():
    def drawn(seed):
        rng = torch.Generator().manual_seed(seed)
        return [draw_mix(Mixing(), 6, 9, 12, rng) for _ in range(200)]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert [(mix.box, mix.own_share) for mix in first] == [(mix.box, mix.own_share) for mix in again]
    assert [mix.box for mix in first] != [mix.box for mix in other]
    assert all(sorted(mix.partners.tolist()) == list(range(6)) for mix in first)
    assert {mix.box.last_row for mix in first} <= set(range(10))
    assert max(mix.box.last_column for mix in first) == 12
