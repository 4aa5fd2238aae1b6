"""How often the CPU waits for the GPU, and where in glad_ray: each time the GPU may run out of work."""

import contextlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

import glad_ray
from glad_ray.data import by_index
from glad_ray.evaluation import accuracy
from glad_ray.spec import Network
from glad_ray.spec.networks import NETWORK_NAMES
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import (
    EvaluationTraining,
    ExpertEpoch,
    Problem,
    sample,
    small_problems,
)

BUDGETS = {"DC": 12, "DM": 10, "MTT (TESLA)": 14, "MTT (exact)": 14}
"""waits of a step in pixels"""
_PACKAGE = Path(glad_ray.__file__).parent
_MESSAGE = "synchronizing CUDA operation"

Waits = Counter[str]
"""by `file:line` of glad_ray, or `elsewhere`"""


@contextlib.contextmanager
def counted(device: torch.device) -> Iterator[Waits]:
    """Count what waits for a GPU in the body; on a CPU nothing does."""
    found: Waits = Counter()
    if device.type != "cuda":
        yield found
        return
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: note(found, str(message))  # type: ignore[assignment]
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")


def note(found: Waits, message: str) -> None:
    """Count a warning that tells of a wait, by the innermost line of glad_ray that led to it."""
    if _MESSAGE not in message:
        return
    frame = sys._getframe(1)
    while frame is not None and not Path(frame.f_code.co_filename).is_relative_to(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    line = "elsewhere" if frame is None else f"{Path(frame.f_code.co_filename).relative_to(_PACKAGE)}:{frame.f_lineno}"
    found[line] += 1


def measured(setting: Setting, waits: Waits, times: float, budget: int | None) -> Measured:
    """Waits that were counted in so many steps, epochs or batches."""
    if not setting.gpu:
        return Measured({"note": "nothing waits for a CPU"})
    each = waits.total() / times
    lines = ", ".join(f"{line} x{count / times:g}" for line, count in sorted(waits.items()))
    numbers = {"waits": each} | ({} if budget is None else {"budget": budget}) | {"lines": lines}
    return Measured(numbers, None if budget is None else each <= budget)


def known_wait(setting: Setting) -> Measured:
    """A number that is read from the GPU: the count is to be trusted only if it has that one."""
    value = torch.zeros(1, device=setting.device)
    with counted(setting.device) as found:
        value.item()
    if not setting.gpu:
        return measured(setting, found, 1, None)
    return Measured({"waits": found.total()}, found.total() == 1)


def step(setting: Setting, problem: Problem, budget: int | None) -> Measured:
    """The third and fourth step of a run."""
    seen: list[Waits] = []
    with counted(setting.device) as found:
        problem.steps(setting.device, 5, lambda step: seen.append(Counter(found)))
    return measured(setting, seen[3] - seen[1], 2, budget)


def per_unit(setting: Setting, work: Callable[[int], object], budget: int | None) -> Measured:
    """What six units of work wait more often than two."""
    seen: list[Waits] = []
    for count in (2, 6):
        with counted(setting.device) as found:
            work(count)
        seen.append(found)
    return measured(setting, seen[1] - seen[0], 4, budget)


def batches(setting: Setting, width: int, together: int, count: int) -> None:
    """Batches of experts: an epoch of so many."""
    size = setting.size(128, 4)
    ExpertEpoch(sample(), count * size, Network(width=width), together, size).prepared(setting.device).epoch()


def whole_test(setting: Setting, width: int) -> Measured:
    """A test on all test images."""
    device, dataset = setting.device, sample()
    network, _ = EvaluationTraining(dataset, Network(width=width)).trained(device, torch.float32, 1)
    images = by_index(dataset.test_images, dataset, device)
    labels = torch.tensor(dataset.test_labels, device=device)
    with counted(device) as found:
        accuracy(network, images, labels)
    return measured(setting, found, 1, 1)


def pieces(setting: Setting) -> Iterator[Piece]:
    """Steps as a run makes them, and the units of the other kinds of work."""
    width = setting.size(128, 4)
    yield Piece("one that is known", partial(known_wait, setting))
    problems = small_problems(setting, real_images=64, student_steps=10)
    for name, problem in problems.items():
        algorithm, _, space = name.partition(", ")
        budget = BUDGETS[algorithm] if space == "pixels" else None
        yield Piece(f"step of {name}", partial(step, setting, problem, budget))
    for name in setting.size(NETWORK_NAMES, NETWORK_NAMES[::4]):
        training = EvaluationTraining(sample(), Network(name=name, width=setting.size(None, 4)))
        trained = partial(training.trained, setting.device, torch.float32)
        yield Piece(f"evaluation epoch, {name}", partial(per_unit, setting, trained, 1))
    yield Piece("whole test", partial(whole_test, setting, width))
    for together in (1, 2):
        work = partial(batches, setting, width, together)
        yield Piece(f"expert batch, {together} together", partial(per_unit, setting, work, 1))


CHECK = Check(
    name="waits",
    claim="Waits of the CPU for the GPU, as PyTorch's sync debug mode tells them, in one step, epoch, test or batch; "
    "limits are the budgets.",
    share=45,
    pieces=pieces,
)
