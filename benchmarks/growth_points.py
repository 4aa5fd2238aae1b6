"""One measurement of `growth.py`: what a step of an algorithm, or an epoch of an evaluation, takes at one size.

Images are random, of ten classes and three channels; networks are ConvNets of the depth that is standard at the
resolution. A step is the matching of synthetic images in pixels: its loss and their gradients.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

import torch
from gpu_checks.problems import EvaluationTraining, algorithms, noise, noise_problem
from own_process import MemoryAbove, seconds

from glad_ray.algorithms import build_algorithm, mtt
from glad_ray.machine import SavedBytes
from glad_ray.spec import Network

CPU = torch.device("cpu")
EVALUATION = "evaluation"
STEPS = ("DC", "DM", "MTT (TESLA)", "MTT (exact)")
PIECES = (*STEPS, EVALUATION)
IMPORTED = (
    "glad_ray.set_evaluation",
    "glad_ray.algorithms.dc",
    "glad_ray.algorithms.dm",
    "glad_ray.algorithms.mtt",
    "glad_ray.generators",
    "matplotlib.figure",
)
"""what every measurement imports"""
_MOST_REPEATS = 5


@dataclass(frozen=True)
class Size:
    """Of a measurement."""

    images_per_class: int = 1
    resolution: int = 32
    student_steps: int = 2
    """N of MTT"""
    width: int = 16
    real_images: int = 16
    """a class, of a step of DC and DM"""
    repeated_seconds: float = 0.5
    """that repeats take, about"""


class Taken(NamedTuple):
    """What a step or an epoch takes."""

    seconds: float
    """CPU seconds, the median of up to five"""
    peak_bytes: float
    """memory of the process at its peak, above what was there before the first"""
    saved_bytes: float
    """of all graphs that it makes, added up, whether they are there at once or not"""


def measure(piece: str, size: Size) -> Taken:
    """For a process that has computed nothing before."""
    _open_libraries()
    work = _evaluation(size) if piece == EVALUATION else _step(piece, size)
    memory = MemoryAbove(CPU)
    began = time.process_time()
    work()
    pilot, peak = time.process_time() - began, memory.peak_bytes
    repeats = min(_MOST_REPEATS, max(1, round(size.repeated_seconds / max(pilot, 1e-3))))
    taken = statistics.median(seconds(work, CPU) for _ in range(repeats))
    return Taken(taken, float(peak), float(_saved_bytes(work)))


def _saved_bytes(work: Callable[[], Any]) -> int:
    """Of all graphs; MTT counts those of its first step itself, which hides them from whoever counts outside."""
    inner: list[SavedBytes] = []

    class Inner(SavedBytes):
        def __init__(self) -> None:
            super().__init__()
            inner.append(self)

    outer = SavedBytes()
    with mock.patch.object(mtt, "SavedBytes", Inner), outer:
        work()
    return outer.total + sum(each.total for each in inner)


def _step(piece: str, size: Size) -> Callable[[], Any]:
    algorithm = algorithms(real_images=size.real_images, student_steps=size.student_steps)[piece]
    per_class = max(size.real_images, size.images_per_class)
    problem = noise_problem(algorithm, size.resolution, per_class, size.width, size.images_per_class)
    images = problem.latents["pixels"].float()
    matching = build_algorithm(problem.run, problem.dataset, problem.experts, CPU)
    step_size = torch.tensor(0.01)
    return lambda: matching.match(images, problem.labels, 0, step_size)


def _evaluation(size: Size) -> Callable[[], Any]:
    """A training of one epoch, without the test."""
    dataset, network = noise(size.resolution, size.images_per_class), Network(width=size.width)
    training = EvaluationTraining(dataset, network, size.images_per_class)
    return lambda: training.trained(CPU, torch.float32, 1)


def _open_libraries() -> None:
    """Make a tiny step, for libraries take memory of their own when they are first called."""
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    torch.nn.functional.conv2d(torch.randn(1, 3, 8, 8), weight).sum().backward()
