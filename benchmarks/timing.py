"""Timing candidates in turn, so that what else the machine does meets all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch


class Timing(NamedTuple):
    """Medians over the repeats, in seconds."""

    wall: float
    cpu: float
    """of all threads of this process"""


def time_in_turn(candidates: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device) -> dict[str, Timing]:
    """The time of each candidate: one untimed call of each, then `repeats` rounds of one call of each."""
    walls: dict[str, list[float]] = {name: [] for name in candidates}
    cpus: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(repeats + 1):
        for name, candidate in candidates.items():
            gc.collect()
            _wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            candidate()
            _wait(device)
            if number > 0:
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
    return {name: Timing(statistics.median(walls[name]), statistics.median(cpus[name])) for name in candidates}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
