"""Timing candidates in turn, so that what else the machine does meets all of them alike."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch


class Timing(NamedTuple):
    """Of one turn, or the medians of several, in seconds."""

    wall: float
    cpu: float
    """of all threads of this process"""


def time_in_turn(candidates: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device) -> dict[str, Timing]:
    """The time of each candidate: one untimed call of each, then `repeats` rounds of one call of each."""
    turns = {name: partial(_timed, candidate, device) for name, candidate in candidates.items()}
    return {name: median(taken) for name, taken in in_turn(turns, repeats).items()}


def in_turn(
    turns: Mapping[str, Callable[[], Timing]], repeats: int, seconds: float = math.inf
) -> dict[str, list[Timing]]:
    """What each candidate says of its turns: one turn of each that does not count, then `repeats` rounds of one turn of
    each. Rounds after the second that would not end within `seconds` of the call are left out.
    """
    end = time.monotonic() + seconds
    taken: dict[str, list[Timing]] = {name: [] for name in turns}
    for number in range(repeats + 1):
        began = time.monotonic()
        for name, turn in turns.items():
            timing = turn()
            if number > 0:
                taken[name].append(timing)
        now = time.monotonic()
        if number >= 2 and now + (now - began) > end:
            break
    return taken


def median(taken: Iterable[Timing]) -> Timing:
    """Of wall and CPU seconds, each by itself."""
    return Timing(*map(statistics.median, zip(*taken, strict=True)))


def _timed(candidate: Callable[[], Any], device: torch.device) -> Timing:
    gc.collect()
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    candidate()
    _wait(device)
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
