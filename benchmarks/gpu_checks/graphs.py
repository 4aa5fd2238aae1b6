"""Whether trainings as CUDA graphs come to the numbers of trainings without, and how much faster they are."""

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile

from glad_ray.evaluation import train_network
from glad_ray.spec import Network
from glad_ray.spec.networks import NETWORK_NAMES
from gpu_checks.check import Check, Measured, Piece, Setting
from gpu_checks.problems import EvaluationTraining, sample, wait

LIMIT = 1e-3
"""of the change of parameters, or ten times what two trainings without graphs are apart, where that is more"""
_CALLS = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")


def without_graphs(train: Callable[[int], torch.Tensor], epochs: int) -> torch.Tensor:
    """A training as it is made where no graph can be made."""
    names = train_network.__globals__  # type: ignore[attr-defined]
    with mock.patch.dict(names, can_be_captured=lambda images, network: False):
        return train(epochs)


def launches(train: Callable[[int], object], epochs: int) -> int:
    """Launches of kernels and graphs by the CPU in a training of so many epochs."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        train(epochs)
    return sum(event.name in _CALLS for event in profiled.events())


def compared(setting: Setting, training: EvaluationTraining) -> Measured:
    """A training of few epochs both ways, and what an epoch takes once graphs are made."""
    few, more = setting.size((40, 140), (2, 3))

    def train(epochs: int) -> torch.Tensor:
        averaged, before = training.trained(setting.device, torch.float32, epochs)
        return torch.cat([each.detach().flatten() for each in averaged.parameters()]) - before

    def seconds(way: Callable[[int], object]) -> float:
        spent = []
        for epochs in (few, more):
            wait(setting.device)
            began = time.perf_counter()
            way(epochs)
            wait(setting.device)
            spent.append(time.perf_counter() - began)
        return (spent[1] - spent[0]) / (more - few)

    plain = partial(without_graphs, train)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = train(few)
    refused = [str(each.message) for each in told if "CUDA graphs" in str(each.message)]
    one, other = plain(few), plain(few)
    apart, own = (float((each - one).norm() / one.norm()) for each in (found, other))
    limit = max(LIMIT, 10 * own)
    numbers: dict[str, float | str] = {"apart": apart, "limit": limit, "two without graphs": own}
    if setting.gpu:
        numbers |= {"ms without": 1e3 * seconds(plain), "ms with": 1e3 * seconds(train)}
        for name, way in (("launches without", plain), ("launches with", train)):
            numbers[name] = (launches(way, more) - launches(way, few)) / (more - few)
    if refused:
        numbers["refused"] = refused[0]
    return Measured(numbers, apart <= limit and not refused)


def pieces(setting: Setting) -> Iterator[Piece]:
    """Every network, on one image a class."""
    for name in setting.size(NETWORK_NAMES, NETWORK_NAMES[::4]):
        training = EvaluationTraining(sample(), Network(name=name, width=setting.size(None, 4)))
        yield Piece(f"evaluation, {name}", partial(compared, setting, training))


CHECK = Check(
    name="graphs",
    claim="Trainings as CUDA graphs beside trainings without: how far the change of parameters is apart after 40 "
    "epochs, relative to that change (limit: 1e-3, or ten times what two trainings without graphs are apart); "
    "milliseconds and launches of an epoch. A network whose training goes on without graphs fails.",
    share=60,
    pieces=pieces,
)
