"""A measurement in a process of its own, and the memory and time it takes there."""

import ctypes
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from glad_ray.errors import UserError
from glad_ray.machine import keep_freed_memory

_STATUS = Path("/proc/self/status")


def fresh(
    threads: int, task: Callable[..., Any], *arguments: Any, keep_freed: bool = True, imported: Sequence[str] = ()
) -> Any:
    """The result of a task in a process that has computed nothing before; see `keep_freed_memory`.

    `imported`: what it has imported already, as the copy of a process that did so once and computes nothing.
    """
    context: Any = multiprocessing.get_context("forkserver" if imported else "spawn")
    if imported:
        context.set_forkserver_preload(list(imported))
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(threads, keep_freed)) as pool:
        return pool.submit(task, *arguments).result()


class MemoryAbove:
    """Peak memory above what was there when this object was made; see `glad_ray.machine` for a GPU's."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
            return
        if not _STATUS.exists():
            raise UserError(
                "Peak memory on a CPU is read from /proc: measure on Linux, or on a GPU with --device cuda."
            )
        # What was freed before would be taken again unseen, and the peak so far would hide the next one.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        self.before = _kibibytes("VmRSS") * 1024

    @property
    def peak_bytes(self) -> int:
        """So far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return _kibibytes("VmHWM") * 1024 - self.before


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """What a call takes: CPU seconds of all threads, user and system, on a CPU; wall-clock seconds on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    begin = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begin


def _kibibytes(entry: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[entry].split()[0])


def _begin(threads: int, keep_freed: bool) -> None:
    if keep_freed:
        keep_freed_memory()
    torch.set_num_threads(threads)
