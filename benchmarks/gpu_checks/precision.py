"""What TF32 does to the gradients of images: products of tensor cores with 10 bits of a factor's 23."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import backends

from glad_ray.machine import fp32_precision
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import Problem, small_problems

FLOAT32_LIMIT = 1e-3
EMULATED = {"DC, pixels": 0.047, "DM, pixels": 0.016, "MTT (TESLA), pixels": 0.017, "MTT (exact), pixels": 0.37}
"""relative errors that an emulation on a CPU foretold at width 8, in which float32 has about 1e-5"""


def settings_found() -> dict[str, str]:
    """What PyTorch has before anybody asks for anything."""
    return {"convolutions": backends.cudnn.conv.fp32_precision, "products": backends.cuda.matmul.fp32_precision}


def gradient_errors(problem: Problem, device: torch.device, emulated: float | None) -> Measured:
    """Relative errors of the gradients of the latents in either precision, against float64 on the same device."""
    truth = problem.outcome(device, torch.float64)
    numbers: dict[str, float] = {}
    for precision in ("float32", "tf32"):
        with fp32_precision(precision, device):
            found = problem.outcome(device, torch.float32, precision)
        kinds = problem.latents
        numbers[precision] = max(float((found[kind] - truth[kind]).norm() / truth[kind].norm()) for kind in kinds)
    if emulated is not None:
        numbers["emulated"] = emulated
    return Measured(numbers, numbers["float32"] <= FLOAT32_LIMIT)


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
    claim=f"Relative errors of the gradients of latents in float32 against float64; limit {FLOAT32_LIMIT} in "
    "float32. A CPU knows no TF32.",
    share=45,
    pieces=pieces,
)
