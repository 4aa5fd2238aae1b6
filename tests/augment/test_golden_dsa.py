"""Every DSA operation against the paper's code: values, adjoints, and whole calls."""

import pytest
import torch

from glad_ray.augment import OPERATIONS, Draw, apply, apply_operation
from tests.golden_numbers import golden, images, s_like

ARRAYS, FACTS = golden("dsa")
CASES = sorted({key.rpartition("/")[0] for key in ARRAYS if key.count("/") == 4})
INPUTS = {"A": images(4, 3, 32, 32, 0), "B": images(3, 3, 10, 14, 1)}
# Everything but the warps only adds, multiplies and moves pixels: equal up to a rounding.
TOLERANCE = {"scale": 1e-5, "rotate": 1e-5}
INTEGERS = ("shift_h", "shift_w", "center_h", "center_w")


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_are_the_recorded_ones(name):
    assert torch.equal(INPUTS[name], torch.from_numpy(ARRAYS[f"input_{name}"]))


def _draws(case):
    draws = {key.rpartition("/")[2]: torch.from_numpy(ARRAYS[key]) for key in ARRAYS if key.rpartition("/")[0] == case}
    return {
        name: value.long() if name in INTEGERS else value.bool() if name == "flipped" else value
        for name, value in draws.items()
        if name not in ("out", "vjp")
    }


@pytest.mark.parametrize("case", CASES)
def test_operation_and_adjoint(case):
    name = case.split("/")[1]
    tolerance = TOLERANCE.get(name, 1e-6)
    x = INPUTS[case[0]].clone().requires_grad_()
    out = apply_operation(name, x, _draws(case))
    torch.testing.assert_close(out.detach(), torch.from_numpy(ARRAYS[f"{case}/out"]), rtol=0, atol=tolerance)
    if f"{case}/vjp" in ARRAYS:
        v = torch.from_numpy(s_like(tuple(x.shape), 2000)).float()
        (grad,) = torch.autograd.grad(out, x, v)
        torch.testing.assert_close(grad, torch.from_numpy(ARRAYS[f"{case}/vjp"]), rtol=0, atol=tolerance)


PIPELINE = sorted(key for key in FACTS["pipeline"] if f"pipe/{key}/out" in ARRAYS)
SIDE = 32


def _uniforms(name, raw):
    """The uniform numbers that make the recorded raw draws: themselves, or the middle of what gives an integer."""
    if name == "cutout":  # of whole calls with integers the recording has only these
        raw = (raw + 0.5) / (SIDE + 1)
    return torch.cat([raw, torch.zeros(3 - len(raw), raw.shape[1], dtype=torch.float64)]).T


@pytest.mark.parametrize("case", PIPELINE)
def test_whole_call(case):
    """`apply` with the recorded operation and raw draws gives the recorded images."""
    facts, x = FACTS["pipeline"][case], INPUTS["A"]
    assert OPERATIONS[facts["op_index"]] == facts["op"]
    raw = torch.tensor(facts["raw"][1:], dtype=torch.float64)
    if case.startswith("batch"):
        raw = raw[:, :1]  # one set of parameters for all images
    uniforms = _uniforms(facts["op"], raw)
    draws = Draw(OPERATIONS, torch.full((len(uniforms),), facts["op_index"]), uniforms)
    torch.testing.assert_close(apply(x, draws), torch.from_numpy(ARRAYS[f"pipe/{case}/out"]), rtol=0, atol=1e-5)


def test_every_recorded_array_is_compared():
    inputs, whole_calls = {f"input_{name}" for name in INPUTS}, {f"pipe/{case}/out" for case in PIPELINE}
    assert set(ARRAYS) == inputs | whole_calls | {key for key in ARRAYS if key.rpartition("/")[0] in CASES}
