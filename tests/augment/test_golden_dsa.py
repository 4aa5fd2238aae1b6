"""Every DSA operation against the paper's code: values, adjoints, and whole calls."""

import pytest
import torch

from glad_ray.augment import apply_operation
from glad_ray.augment import operations as ops
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


@pytest.mark.parametrize("case", sorted(key for key in FACTS["pipeline"] if f"pipe/{key}/out" in ARRAYS))
def test_whole_call(case):
    """The recorded raw draws, made into parameters as DSA does, give the recorded images."""
    facts, x = FACTS["pipeline"][case], INPUTS["A"]
    raw = [torch.tensor(values) for values in facts["raw"][1:]]
    if case.startswith("batch"):
        raw = [values[:1].expand(len(x)) for values in raw]
    low, high = 1 / ops.SCALE_RATIO, ops.SCALE_RATIO
    out = {
        "color": lambda u, v, t: ops.color(x, u - 0.5, 2 * v, t + 0.5),
        "crop": lambda h, w: ops.crop(x, h.long(), w.long()),
        "cutout": lambda h, w: ops.cutout(x, h.long(), w.long()),
        "flip": lambda u: ops.flip(x, u < 0.5),
        "scale": lambda u, v: ops.scale(x, u * (high - low) + low, v * (high - low) + low),
        "rotate": lambda u: ops.rotate(x, torch.deg2rad((u - 0.5) * 2 * ops.ROTATE_DEGREES)),
    }[facts["op"]](*raw)
    torch.testing.assert_close(out, torch.from_numpy(ARRAYS[f"pipe/{case}/out"]), rtol=0, atol=1e-5)
