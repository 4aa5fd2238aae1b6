"""What this process runs on: its device and the memory it took."""

import contextlib
import ctypes
import platform
import re
import resource
import sys

import torch
from torch import Tensor

from glad_ray.errors import UserError

_DEVICE = re.compile(r"auto|cpu|cuda(?::(\d{1,4}))?")


def open_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:<n>`, or `auto`: a GPU if PyTorch sees one. Raises `UserError` for any other name and for a
    GPU that is not there, rather than fall back.
    """
    named = _DEVICE.fullmatch(name)
    if named is None:
        raise UserError(f"Unknown device {name!r}: use auto, cpu, cuda or cuda:<number>, for example cuda:1.")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if not gpus:
        raise UserError(f"Device {name!r} was asked for and PyTorch sees no GPU here: use --device cpu.")
    number = int(named[1] or 0)
    if number >= gpus:
        raise UserError(
            f"There is no {name} here: PyTorch sees {gpus} GPU{'s'[: gpus > 1]}, cuda:0 to cuda:{gpus - 1}."
        )
    return torch.device("cuda", number)


def current_device(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """A context in which PyTorch computes on this GPU what names none: pinned memory, for one, would begin to use the
    first GPU.
    """
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, itself if that is the CPU. The CPU does not wait for a GPU: it goes on while the
    copy, from memory that stays in place, queues behind the work that the GPU was given.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def device_name(device: torch.device) -> str:
    """The name of the processor or GPU, for the results."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of peak memory, where the device can."""
    if device.type == "cuda":
        # Nothing may have touched the GPU yet, and then PyTorch knows no device to reset.
        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory: on a GPU what PyTorch allocated since the reset, on a CPU this process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# Parameters of glibc's mallopt (malloc.h) and what they are set to.
_MALLOC = {
    -4: 0,  # M_MMAP_MAX: no block is a mapping of its own, given back to the system when it is freed
    -1: 2**30,  # M_TRIM_THRESHOLD: bytes free at the top before they are given back
    -2: 2**26,  # M_TOP_PAD: bytes taken at a time
    -8: 1,  # M_ARENA_MAX: one arena, or every thread would keep its own
}


def keep_freed_memory() -> None:
    """Let this process's allocator keep what PyTorch frees, which it takes again at once; where glibc allocates.

    Without it most of the time of small steps on a CPU goes into page faults: DC and DM are twice as fast with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in _MALLOC.items():
            mallopt(parameter, value)
