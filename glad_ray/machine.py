"""What this process runs on: its device and the memory it took."""

import contextlib
import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from glad_ray.errors import UserError
from glad_ray.spec.precision import FP32Precision

_CUDNN: Any = torch.backends.cudnn
_FP32_SETTINGS: tuple[Any, ...] = (torch.backends.cuda.matmul, _CUDNN.conv, _CUDNN.rnn)
"""where PyTorch has a precision to set: products of matrices, convolutions, recurrent layers"""
_ALIGNED_BYTES = 256
"""where a tensor begins that is copied with others: at a multiple of this, as one of its own would"""
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


def compute_deterministically() -> None:
    """Let this process use deterministic kernels only; an operation that has none raises `RuntimeError`."""
    # cuBLAS reads it before its first product; see torch.use_deterministic_algorithms.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


def fp32_precision_on(device: torch.device, asked: FP32Precision) -> FP32Precision:
    """What float32 numbers are multiplied in on a device where `asked` is asked for: TF32 exists on NVIDIA GPUs since
    Ampere alone.
    """
    has_tf32 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return asked if has_tf32 else "float32"


@contextlib.contextmanager
def fp32_precision(precision: FP32Precision, device: torch.device) -> Iterator[None]:
    """Within, a GPU multiplies float32 numbers in this precision, whatever PyTorch was set to; afterwards the settings
    are what they were. Other devices have none to set.
    """
    if device.type != "cuda":
        yield
        return
    before = tuple(setting.fp32_precision for setting in _FP32_SETTINGS)
    _set_fp32_precision(("tf32" if precision == "tf32" else "ieee",) * len(before))
    try:
        yield
    finally:
        _set_fp32_precision(before)


def _set_fp32_precision(values: tuple[str, ...]) -> None:
    matmul, convolution, _ = values
    # Both interfaces of PyTorch: where they differ, reading the older one raises.
    torch.backends.cuda.matmul.allow_tf32 = matmul == "tf32"
    torch.backends.cudnn.allow_tf32 = convolution == "tf32"
    for setting, value in zip(_FP32_SETTINGS, values, strict=True):
        setting.fp32_precision = value


def few_operations_are_fast(device: torch.device) -> bool:
    """Whether forms of few operations are to be used on a device: on a GPU, which takes some ten microseconds for each,
    however small it is. A CPU is faster with PyTorch's forms; both come to the same numbers but for rounding.
    """
    return device.type not in ("cpu", "meta")


def few_passes_are_fast(device: torch.device) -> bool:
    """Whether forms of few passes through memory are to be used on a device: on a CPU. Tensors without storage have
    PyTorch's forms, by which memory is counted.
    """
    return device.type == "cpu" and not few_operations_are_fast(device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, itself if that is the CPU. The CPU does not wait for a GPU: it goes on while the
    copy, from memory that stays in place, queues behind the work that the GPU was given.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def upload_together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The same of several tensors, of any kinds of numbers, in one copy."""
    if device.type != "cuda" or any(tensor.device.type != "cpu" for tensor in tensors):
        return [upload(tensor, device) for tensor in tensors]
    bytes_of_each = [tensor.detach().contiguous().view(-1).view(torch.uint8) for tensor in tensors]
    sizes = [-(-len(each) // _ALIGNED_BYTES) * _ALIGNED_BYTES for each in bytes_of_each]
    together = torch.zeros(sum(sizes), dtype=torch.uint8)
    for place, each in zip(together.split(sizes), bytes_of_each, strict=True):
        place[: len(each)] = each
    return [
        place[: len(each)].view(tensor.dtype).view(tensor.shape)
        for place, each, tensor in zip(upload(together, device).split(sizes), bytes_of_each, tensors, strict=True)
    ]


def upload_into(into: Tensor, tensor: Tensor) -> None:
    """Copy a tensor of the CPU into one that stays in its place on a device; as with `upload`, nobody waits."""
    if into.device.type == "cuda":
        tensor = tensor.pin_memory()
    into.copy_(tensor, non_blocking=True)


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


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """As a context: counts the memory of the tensors that graphs made in it keep, each storage once."""

    total = 0
    """bytes, known at the end of the context"""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        # The storage, so that no other takes its place before it is counted.
        self._storages[id(storage)] = storage
        # Not the tensor itself: where an operation keeps its own result, PyTorch would never free the two.
        return tensor.detach()

    def __exit__(self, *error: object) -> None:
        """Add up, and let go of the storages."""
        super().__exit__(*error)
        self.total = sum(storage.nbytes() for storage in self._storages.values())
        self._storages.clear()


def keep_freed_memory() -> None:
    """Let this process's allocator keep what PyTorch frees, which it takes again at once; where glibc allocates.

    Without it most of the time of small steps on a CPU goes into page faults: DC and DM are twice as fast with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in _MALLOC.items():
            mallopt(parameter, value)
