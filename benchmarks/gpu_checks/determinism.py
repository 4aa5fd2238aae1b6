"""Which results are the same bits from one run to the next, by default and in PyTorch's deterministic mode."""

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import cache, partial

import torch
from own_process import fresh
from torch import Tensor

from glad_ray.spec import Network
from glad_ray.spec.networks import NETWORK_NAMES
from gpu_checks.check import Check, Measured, OutOfTime, Piece, Setting, at_most
from gpu_checks.parity import Computed
from gpu_checks.problems import EvaluationTraining, ExpertEpoch, sample, small_problems

RUNS = 3
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def computations(setting: Setting) -> dict[str, Computed]:
    """Everything that could differ."""
    width = setting.size(128, 4)
    return {
        **small_problems(setting, real_images=64, student_steps=5),
        **{
            f"expert epoch, {together} together": ExpertEpoch(
                sample(), setting.size(1024, 20), Network(width=width), together
            )
            for together in (1, 2)
        },
        **{
            f"evaluation, {name}": EvaluationTraining(sample(), Network(name=name, width=setting.size(None, 4)))
            for name in setting.size(NETWORK_NAMES, NETWORK_NAMES[::4])
        },
    }


def repeated(computed: Computed, device: torch.device) -> dict[str, str | float]:
    """Whether several runs are equal, and how far they are apart."""
    first, *others = (computed.outcome(device, torch.float32) for _ in range(RUNS))
    apart = max(_apart(first[name], other[name]) for other in others for name in first)
    equal = all(torch.equal(first[name], other[name]) for other in others for name in first)
    return {"the same bits": "yes" if equal else "no", "relative difference": apart}


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / one.norm())


def deterministic(setting: Setting, seconds: float) -> dict[str, dict[str, str | float]]:
    """The same where PyTorch refuses operations that are not deterministic, for as many computations as the time has
    room for. On a GPU for a new process: cuBLAS looks at the environment once.
    """
    before = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True)
    found: dict[str, dict[str, str | float]] = {}
    try:
        with contextlib.suppress(OutOfTime), at_most(seconds):
            for name, computed in computations(setting).items():
                try:
                    found[name] = repeated(computed, setting.device)
                except RuntimeError as error:
                    found[name] = {"the same bits": f"refused: {str(error).strip().splitlines()[0][:160]}"}
    finally:
        torch.set_deterministic_debug_mode(before)
    return found


@cache
def in_deterministic_mode(setting: Setting) -> dict[str, dict[str, str | float]]:
    """`deterministic` in a process of its own, on a CPU in this one."""
    # Less than what is left of this check, so that the other process ends within it.
    seconds = 0.7 * (signal.getitimer(signal.ITIMER_REAL)[0] or 3600)
    if not setting.gpu:
        return deterministic(setting, seconds)
    before = os.environ.get(WORKSPACE)
    os.environ[WORKSPACE] = ":4096:8"
    try:
        return fresh(torch.get_num_threads(), deterministic, setting, seconds)
    finally:
        os.environ.pop(WORKSPACE) if before is None else os.environ.update({WORKSPACE: before})


def pieces(setting: Setting) -> Iterator[Piece]:
    """All by default, then all in deterministic mode."""
    names = computations(setting)
    for name, computed in names.items():
        yield Piece(name, partial(lambda each: Measured(repeated(each, setting.device)), computed))
    for name in names:
        mode = f"{name}, deterministic mode"
        yield Piece(mode, partial(lambda name: Measured(in_deterministic_mode(setting)[name]), name))


CHECK = Check(
    name="determinism",
    claim=f"{RUNS} runs with one seed in one process. Deterministic mode: torch.use_deterministic_algorithms(True) and "
    f"{WORKSPACE}=:4096:8. No limits.",
    share=55,
    pieces=pieces,
)
