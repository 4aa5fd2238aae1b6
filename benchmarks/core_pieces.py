"""What `core_speed.py` measures, ours and the released code's: units of work, again and again, on one thread of a CPU.

Images are random, of ten classes, three channels and 32 pixels. Networks have their standard width, 128 for the
ConvNet. Steps are those of a run in pixels with one image a class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_checks import problems
from gpu_checks.check import Setting
from gpu_checks.problems import ExpertEpoch, Problem, algorithms, noise, noise_problem
from gpu_checks.reference import Reference
from layers_alone import layers_of
from turns import Work

from glad_ray.machine import keep_freed_memory
from glad_ray.spec import MTT, Evaluation, Network
from glad_ray.spec.networks import ARCHITECTURES, PAPER_NETWORKS
from glad_ray.spec.networks.convnet import standard_depth

RESOLUTION = 32
BATCHES, BATCH_SIZE = 8, 256
"""of an expert's training"""
SHARES = {
    "DC": 310,
    "DM": 120,
    "MTT (TESLA)": 100,
    "MTT (exact)": 100,
    "experts": 240,
    "ConvNet": 30,
    "AlexNet": 30,
    "VGG11": 40,
    "ResNet18": 55,
    "ViT": 55,
}
"""of the time there is, by piece: near what it takes"""
_MANY = 10**6
"""steps or epochs: more than are made"""


@dataclass(frozen=True)
class Piece:
    """A kind of work."""

    unit: str
    ours: Work
    released: Callable[[Reference, Callable[[], None]], None] | None
    """the work of the released code; None: it has none of this kind"""


def work(piece: str, candidate: str, reference: str | None, *, quick: bool) -> Work:
    """What a candidate does, in a process of its own: `ours`, `layers` (those of ours alone), `released`, or `tuned`
    (the released code with the allocator of ours).
    """
    if candidate != "released":
        keep_freed_memory()
    torch.set_num_threads(1)
    setting = Setting(torch.device("cpu"), quick)
    chosen = pieces(setting)[piece]
    if candidate in ("released", "tuned"):
        assert reference is not None
        assert chosen.released is not None
        return partial(chosen.released, Reference(Path(reference), setting.device))
    return layers_of(chosen.ours) if candidate == "layers" else chosen.ours


def pieces(setting: Setting) -> dict[str, Piece]:
    """All of them by name."""
    real, width = setting.size(256, 2), setting.size(128, 4)
    found: dict[str, Piece] = {}
    for name, algorithm in algorithms(real_images=real, student_steps=setting.size(10, 2)).items():
        found[name] = _steps(setting, noise_problem(algorithm, RESOLUTION, real, width))
    found["experts"] = _expert_batches(setting, width)
    for name in PAPER_NETWORKS:
        network = Network(name=name, width=setting.size(None, 4))
        found[ARCHITECTURES[name].title] = _epochs(setting, network)
    return found


def _steps(setting: Setting, problem: Problem) -> Piece:
    """Of a run; the released code has no exact gradient of MTT."""

    def ours(after_unit: Callable[[], None]) -> None:
        problem.steps(setting.device, _MANY, lambda step: after_unit())

    def released(reference: Reference, after_unit: Callable[[], None]) -> None:
        reference.steps(problem, _MANY, lambda step: after_unit())

    algorithm = problem.run.algorithm
    exact = isinstance(algorithm, MTT) and algorithm.gradient == "exact"
    return Piece("a step", ours, None if exact else released)


def _expert_batches(setting: Setting, width: int) -> Piece:
    """An epoch on as many images as are in these batches."""
    images = setting.size(BATCHES * BATCH_SIZE, 20)
    dataset, network = noise(RESOLUTION, images // 10 + 1), Network(width=width)

    def ours(after_unit: Callable[[], None]) -> None:
        _repeat(ExpertEpoch(dataset, images, network, batch_size=BATCH_SIZE).prepared(setting.device).epoch, after_unit)

    def released(reference: Reference, after_unit: Callable[[], None]) -> None:
        _repeat(reference.expert_epoch(dataset, images, width, standard_depth(RESOLUTION)), after_unit)

    return Piece(f"{BATCHES} batches", ours, released)


def _epochs(setting: Setting, network: Network) -> Piece:
    """Of a training of evaluation, from the end of one epoch to the end of the next."""
    dataset, lr = noise(RESOLUTION, 1), Evaluation().learning_rate(network)
    # The names of its module, which was called otherwise in earlier checkouts, and what it calls for an epoch.
    train = getattr(problems, "train_networks", None) or problems.train_network  # type: ignore[attr-defined]
    names = train.__globals__
    name = "train_epoch_together" if "train_epoch_together" in names else "train_epoch"

    def ours(after_unit: Callable[[], None]) -> None:
        with mock.patch.dict(names, {name: _and_then(names[name], after_unit)}):
            problems.EvaluationTraining(dataset, network).trained(setting.device, torch.float32, _MANY)

    def released(reference: Reference, after_unit: Callable[[], None]) -> None:
        with mock.patch.object(reference.utils, "epoch", _and_then(reference.utils.epoch, after_unit)):
            reference.evaluation(network.name, dataset, _MANY, lr)()

    return Piece("an epoch", ours, released)


def _repeat(call: Callable[[], object], after_unit: Callable[[], None]) -> None:
    while True:
        call()
        after_unit()


def _and_then(call: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    def both(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        then()
        return result

    return both
