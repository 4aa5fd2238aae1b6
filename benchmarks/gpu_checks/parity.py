"""Whether a GPU computes what the CPU does, in float64 and in float32."""

from collections.abc import Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from glad_ray.machine import fp32_precision
from glad_ray.spec import Network
from glad_ray.spec.networks import NETWORK_NAMES
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import EvaluationTraining, ExpertEpoch, noise, sample, small_problems

FLOAT64_LIMIT = 1e-8
FLOAT32_LIMIT = 1e-4
"""or ten times the error of the CPU in float32, where that is more: at a ReLU's kink, gradients are not continuous"""
_CPU = torch.device("cpu")


class Computed(Protocol):
    """Something with an outcome."""

    def outcome(self, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """Tensors by name, on the CPU in float64."""


def relative_error(found: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    """The largest of the relative errors of several tensors; infinite if there is a number that is none."""
    errors = [float((found[name] - true).norm() / true.norm()) for name, true in truth.items()]
    return max(errors) if all(error == error for error in errors) else float("inf")


def compare(computed: Computed, device: torch.device) -> Measured:
    """A device beside the CPU's float64, in full float32 and in float64; beside it the CPU's own float32."""
    truth = computed.outcome(_CPU, torch.float64)
    ours = relative_error(computed.outcome(_CPU, torch.float32), truth)
    with fp32_precision("float32", device):
        double, single = (
            relative_error(computed.outcome(device, dtype), truth) for dtype in (torch.float64, torch.float32)
        )
    limit = max(FLOAT32_LIMIT, 10 * ours)
    numbers = {"float64": double, "its limit": FLOAT64_LIMIT, "float32": single, "limit": limit, "CPU's float32": ours}
    return Measured(numbers, double <= FLOAT64_LIMIT and single <= limit)


def pieces(setting: Setting) -> Iterator[Piece]:
    """Steps, an epoch of experts, and of every network in evaluation in both families."""
    width = setting.size(128, 4)
    computed: dict[str, Computed] = {
        **small_problems(setting, real_images=32, student_steps=5),
        "expert epoch": ExpertEpoch(sample(), setting.size(1024, 20), Network(width=width)),
        "expert epoch, two together": ExpertEpoch(sample(), setting.size(1024, 20), Network(width=width), together=2),
    }
    for name in NETWORK_NAMES:
        computed[f"evaluation, {name}, 32 pixels"] = EvaluationTraining(
            sample(), Network(name=name, width=setting.size(None, 4))
        )
    for name in NETWORK_NAMES if not setting.quick else ():
        computed[f"evaluation, {name}, 128 pixels"] = EvaluationTraining(noise(128, 1), Network(name=name))
    for name, each in computed.items():
        yield Piece(name, partial(compare, each, setting.device))


CHECK = Check(
    name="parity",
    claim="Relative errors of the device against float64 on the CPU, TF32 left out: loss and gradients of a step (10 "
    "images), or the change of parameters.",
    share=100,
    pieces=pieces,
)
