"""Repeats of an evaluation trained together beside the same ones one after another: the same numbers, and which is
faster.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from glad_ray.machine import fp32_precision, peak_memory_bytes, reset_peak_memory
from glad_ray.spec import Evaluation, Network
from glad_ray.spec.networks import NETWORK_NAMES
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import EvaluationTraining, noise, wait

REPEATS = 5
LIMIT = 1e-3
"""of the change of parameters, or ten times what two trainings of the same kind are apart, where that is more"""


def compared(setting: Setting, training: EvaluationTraining) -> Measured:
    """Trainings of few epochs both ways, and what an epoch of all repeats takes once graphs are made."""
    few, more = setting.size((40, 120), (2, 3))
    repeats = setting.size(REPEATS, 2)

    def changes(epochs: int, at_once: int) -> torch.Tensor:
        found = []
        for first in range(0, repeats, at_once):
            averaged, before = training.repeated(setting.device, torch.float32, epochs, first, at_once)
            for network, start in zip(averaged, before, strict=True):
                found.append(torch.cat([each.detach().flatten() for each in network.parameters()]) - start)
        return torch.stack(found)

    def seconds(way: Callable[[int], object]) -> tuple[float, int]:
        spent = []
        reset_peak_memory(setting.device)
        for epochs in (few, more):
            wait(setting.device)
            began = time.perf_counter()
            way(epochs)
            wait(setting.device)
            spent.append(time.perf_counter() - began)
        return (spent[1] - spent[0]) / (more - few), peak_memory_bytes(setting.device)

    # In full float32: TF32 rounds in ways that depend on the kernel, which is another one.
    with fp32_precision("float32", setting.device):
        one, other, found = changes(few, 1), changes(few, 1), changes(few, repeats)
    apart, own = (float((each - one).norm() / one.norm()) for each in (found, other))
    limit = max(LIMIT, 10 * own)
    numbers: dict[str, float | str] = {"apart": apart, "limit": limit, "two one by one": own}
    if setting.gpu:
        with fp32_precision(Evaluation().precision, setting.device):
            alone, alone_bytes = seconds(partial(changes, at_once=1))
            joined, joined_bytes = seconds(partial(changes, at_once=repeats))
        numbers |= {"ms one by one": 1e3 * alone, "ms together": 1e3 * joined, "ratio": alone / joined}
        numbers |= {"MiB one by one": alone_bytes / 2**20, "MiB together": joined_bytes / 2**20}
    return Measured(numbers, apart <= limit)


def pieces(setting: Setting) -> Iterator[Piece]:
    """Every network, on one and on ten images a class."""
    for images_per_class in setting.size((1, 10), (1,)):
        for name in setting.size(NETWORK_NAMES, NETWORK_NAMES[::4]):
            network = Network(name=name, width=setting.size(None, 4))
            training = EvaluationTraining(noise(32, images_per_class), network, images_per_class)
            title = f"{name}, {images_per_class} image{'s'[: images_per_class > 1]} a class"
            yield Piece(title, partial(compared, setting, training))


CHECK = Check(
    name="together",
    claim="Five repeats of an evaluation trained together, and one after another, with CUDA graphs both ways: "
    "how far the changes of parameters are apart after 40 epochs in float32, relative to them (limit: 1e-3, or "
    "ten times what two trainings of a kind are apart); milliseconds of an epoch of all five, and memory at its peak.",
    share=60,
    pieces=pieces,
)
