"""What TF32 does to the gradients of images: products of tensor cores with 10 bits of a factor's 23."""

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import backends

from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import Problem, small_problems

FLOAT32_LIMIT = 1e-3
EMULATED = {"DC, pixels": 0.047, "DM, pixels": 0.016, "MTT (TESLA), pixels": 0.017, "MTT (exact), pixels": 0.37}
"""relative errors that an emulation on a CPU foretold at width 8, in which float32 has about 1e-5"""
_MODES = {
    "as found": {},
    "full": {"convolutions": "ieee", "products": "ieee"},
    "TF32 convolutions": {"convolutions": "tf32", "products": "ieee"},
    "TF32 products": {"convolutions": "ieee", "products": "tf32"},
}


@contextlib.contextmanager
def computed_in(*, convolutions: str | None = None, products: str | None = None) -> Iterator[None]:
    """Precision of convolutions and of products of matrices in float32, `ieee` or `tf32`; afterwards what it was."""
    asked = ((backends.cudnn.conv, convolutions), (backends.cuda.matmul, products))
    before = [setting.fp32_precision for setting, _ in asked]
    try:
        for setting, precision in asked:
            if precision is not None:
                setting.fp32_precision = precision
        yield
    finally:
        for (setting, _), precision in zip(asked, before, strict=True):
            if setting.fp32_precision != precision:
                setting.fp32_precision = precision


def settings_found() -> dict[str, str]:
    """What PyTorch has before anybody asks for anything."""
    return {"convolutions": backends.cudnn.conv.fp32_precision, "products": backends.cuda.matmul.fp32_precision}


def gradient_errors(problem: Problem, device: torch.device, emulated: float | None) -> Measured:
    """Relative errors of the gradients of the latents in every mode, against float64 on the same device."""
    truth = problem.outcome(device, torch.float64)
    numbers: dict[str, float] = {}
    for mode, settings in _MODES.items():
        with computed_in(**settings):
            found = problem.outcome(device, torch.float32)
        kinds = problem.latents
        numbers[mode] = max(float((found[kind] - truth[kind]).norm() / truth[kind].norm()) for kind in kinds)
    if emulated is not None:
        numbers["emulated"] = emulated
    return Measured(numbers, numbers["full"] <= FLOAT32_LIMIT)


def pieces(setting: Setting) -> Iterator[Piece]:
    """The setting of the emulation, and the backbone's usual width."""
    yield Piece("settings found", lambda: Measured(dict(settings_found())))
    for width in setting.size((8, 128), (4,)):
        problems = small_problems(setting, real_images=32, student_steps=10, width=width)
        for name, problem in problems.items():
            emulated = EMULATED.get(name) if width == 8 else None
            yield Piece(f"{name}, width {width}", partial(gradient_errors, problem, setting.device, emulated))


CHECK = Check(
    name="TF32",
    claim=f"Relative errors of the gradients of latents in float32 against float64; limit {FLOAT32_LIMIT} in full "
    "float32. A CPU knows no TF32.",
    share=45,
    pieces=pieces,
)
