"""How many kernels a step launches, and how much of its time the GPU has nothing to do."""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from glad_ray.spec import Network
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import EvaluationTraining, ExpertEpoch, Problem, sample, small_problems, wait

_STEPS = 3


def busy(setting: Setting, work: Callable[[], object], times: int) -> dict[str, float]:
    """Kernels and copies that a call starts on the GPU, and their seconds; both divided by `times`."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA][: 2 if setting.gpu else 1]) as profiled:
        work()
        wait(setting.device)
    events = [each for each in profiled.events() if each.device_type == DeviceType.CUDA]
    kernels = [each for each in events if not getattr(each, "is_user_annotation", False)]
    return {
        "launches": len(kernels) / times,
        "busy ms": sum(each.time_range.elapsed_us() for each in kernels) / 1e3 / times,
    }


def measured(setting: Setting, work: Callable[[], object], times: int, seconds: float) -> Measured:
    """Launches and busy time of a call with the profiler, beside the seconds that one of `times` takes without it."""
    found = busy(setting, work, times)
    if not setting.gpu:
        return Measured({"note": "a CPU launches no kernels"})
    idle = max(0.0, 1 - found["busy ms"] / 1e3 / seconds)
    return Measured({**found, "all ms": 1e3 * seconds, "idle share": idle})


def step(setting: Setting, problem: Problem) -> Measured:
    """Steps of a run: what a run of more steps takes more than one of fewer."""
    seconds = statistics.median(problem.step_seconds(setting.device, _STEPS))
    few, more = (
        busy(setting, partial(problem.steps, setting.device, n, lambda step: None), 1) for n in (1, 1 + _STEPS)
    )
    if not setting.gpu:
        return Measured({"note": "a CPU launches no kernels"})
    launches, kernels_ms = ((more[name] - few[name]) / _STEPS for name in ("launches", "busy ms"))
    idle = max(0.0, 1 - kernels_ms / 1e3 / seconds)
    return Measured({"launches": launches, "busy ms": kernels_ms, "all ms": 1e3 * seconds, "idle share": idle})


def repeated(setting: Setting, work: Callable[[], object], times: int) -> Measured:
    """A call that makes `times` epochs or batches, after one that warms up."""
    work()
    wait(setting.device)
    began = time.perf_counter()
    work()
    wait(setting.device)
    return measured(setting, work, times, (time.perf_counter() - began) / times)


def pieces(setting: Setting) -> Iterator[Piece]:
    """Steps, an epoch of evaluation, a batch of experts."""
    width = setting.size(128, 4)
    problems = small_problems(setting, real_images=256, student_steps=10)
    for name in setting.size(list(problems), ["DM, pixels"]):
        problem = problems[name]
        yield Piece(f"step of {name}", partial(step, setting, problem))
    for network in ("convnet", "resnet18", "vit"):
        training = EvaluationTraining(sample(), Network(name=network, width=setting.size(None, 4)))
        epochs = setting.size(10, 2)
        trained = partial(training.trained, setting.device, torch.float32, epochs)
        yield Piece(f"evaluation epoch, {network}", partial(repeated, setting, trained, epochs))
    for together in (1, 5):
        count, size = setting.size(8, 2), setting.size(256, 4)
        experts = ExpertEpoch(sample(), count * size, Network(width=width), together, size)
        yield Piece(
            f"expert batch, {together} together",
            lambda experts=experts, count=count: repeated(setting, experts.prepared(setting.device).epoch, count),
        )


CHECK = Check(
    name="launches",
    claim="Kernels and copies that one step, epoch or batch starts, and the share of its time without the profiler in "
    "which none of them runs. No limits.",
    share=45,
    pieces=pieces,
)
