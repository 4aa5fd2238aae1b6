"""What this process runs on: its device and the memory it took."""

import platform
import resource
import sys

import torch

from glad_ray.errors import UserError


def open_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:<n>`, or `auto`: a GPU if PyTorch sees one; raises `UserError` rather than fall back."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and not torch.cuda.is_available():
        raise UserError(f"Device {name!r} was asked for and PyTorch sees no GPU here: use --device cpu.")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The name of the processor or GPU, for the results."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of peak memory, where the device can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory: on a GPU what PyTorch allocated since the reset, on a CPU this process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
