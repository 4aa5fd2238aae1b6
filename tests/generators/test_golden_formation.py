"""Training images cut out of stored ones, and stored ones made of real ones, against the codes of IDC and NCFM."""

import numpy as np
import pytest
import torch

from glad_ray.generators import mixed, training_images
from glad_ray.spec import Formation
from tests.golden_numbers import golden, images, s_like

IDC, IDC_FACTS = golden("successors/hpd_idc_dream_rded/idc")
NCFM, NCFM_FACTS = golden("successors/ncfm_datm/ncfm")
DECODED = {key.removeprefix("decode/"): facts for key, facts in NCFM_FACTS.items() if key.startswith("decode/")}


def _formation(kind, factor, bound):
    return Formation(factor=factor, kind=kind, bound=bound or 128)


def _sources(formation, stored):
    """The stored image of every training image, by what its parts say."""
    of_parts = [list(range(part.first, part.last)) * part.factor**2 for part in formation.parts(stored)]
    return [image for part in of_parts for image in part]


def _projection(array):
    return float((array.detach().double().flatten().numpy() * s_like((array.numel(),), 3000)).sum())


@pytest.mark.parametrize("case", IDC_FACTS["decode"])
def test_idc_decodes(case):
    facts = IDC_FACTS["decode"][case]
    formation = _formation(facts["kind"], facts["factor"], facts["bound"])
    x = images(facts["n"], facts["channels"], facts["side"], facts["side"], facts["salt"])
    for precision, name, tolerance in ((torch.float32, "f32", 1e-4), (torch.float64, "f64", 1e-10)):
        leaf = x.to(precision).requires_grad_()
        out = training_images(leaf, formation)
        assert list(out.shape) == facts["out_shape"]
        assert len(out) == formation.images(facts["n"])
        v = torch.from_numpy(s_like(tuple(out.shape), 2000).astype(np.float32)).to(precision)
        (adjoint,) = torch.autograd.grad(out, leaf, v)
        assert _projection(out) == pytest.approx(facts[f"out_proj_{name}"], rel=tolerance)
        assert _projection(adjoint) == pytest.approx(facts[f"vjp_proj_{name}"], rel=tolerance)
        torch.testing.assert_close(out.float(), torch.from_numpy(IDC[f"decode/{case}/out"]), rtol=1e-5, atol=1e-6)
        expected = torch.from_numpy(IDC[f"decode/{case}/vjp"])
        torch.testing.assert_close(adjoint.float(), expected, rtol=1e-5, atol=1e-5)
    assert _sources(formation, facts["n"]) == IDC[f"decode/{case}/source"].tolist()


@pytest.mark.parametrize("case", DECODED)
def test_ncfm_decodes(case):
    facts = DECODED[case]
    formation = _formation(facts["type"], facts["factor"], facts["bound"])
    out = training_images(images(facts["n"], 3, facts["size"], facts["size"], facts["salt"]), formation)
    torch.testing.assert_close(out, torch.from_numpy(NCFM[f"decode/{case}/out"]), rtol=1e-5, atol=1e-6)
    # Its images have labels 0, 1, ...
    assert _sources(formation, facts["n"]) == facts["targets"]


@pytest.mark.parametrize("case", IDC_FACTS["init"])
def test_idc_starts(case):
    facts = IDC_FACTS["init"][case]
    needed = facts["ipc"] * facts["factor"] ** 2
    real = [
        images(16, facts["channels"], facts["side"], facts["side"], 600 + c)[:needed] for c in range(facts["classes"])
    ]
    made = torch.cat([mixed(of_class, facts["factor"]) for of_class in real])
    assert torch.equal(made, torch.from_numpy(IDC[f"init/{case}/data"]))


@pytest.mark.parametrize("case", [key for key in NCFM_FACTS if key.startswith("mix/")])
def test_ncfm_starts(case):
    facts = NCFM_FACTS[case]
    needed = facts["ipc"] * facts["factor"] ** 2
    real = [images(needed, 3, facts["size"], facts["size"], 60 + label) for label in facts["classes"]]
    made = torch.cat([mixed(of_class, facts["factor"]) for of_class in real])
    assert torch.equal(made, torch.from_numpy(NCFM[f"{case}/out"]))


def test_every_recorded_array_is_compared():
    names = {key.rpartition("/")[0].removeprefix("decode/") for key in IDC if key.startswith("decode/")}
    assert names == set(IDC_FACTS["decode"])
    assert {key for key in IDC if key.startswith("init/")} == {f"init/{case}/data" for case in IDC_FACTS["init"]}
    assert {key.split("/")[1] for key in NCFM if key.startswith("decode/")} == set(DECODED)
