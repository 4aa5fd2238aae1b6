"""What goes wrong, and whether it is tried again: the one place that tells whose fault it is.

Infrastructure passes: a lost process, machine or actor, storage that cannot be written for a while, memory that others
hold. Work is done again after pauses that grow. A fault of the work itself, or of its settings, would come again: it is
recorded, once.

Nothing here imports PyTorch or Ray, which processes of one kind or another go without.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from glad_ray.errors import GladRayError, StoppedError, UnavailableError, printable
from glad_ray.gpu_errors import gpu_failed, lacks_gpu_memory

FaultKind = Literal["own", "infrastructure", "GPU memory", "stopped"]
"""`stopped`: nothing went wrong, it was told to end"""

RETRIES = 5
"""of a unit of work that met faults of infrastructure and made no progress between them; the pauses before them are two
minutes together"""
LOST = "lost with its process or machine"

_FIRST_PAUSE_SECONDS = 1.0
_GROWTH = 3.0
# What is not there, or in the way, stays so.
_LASTING = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


class Fault(NamedTuple):
    """What went wrong, as text, which any process can read."""

    error: str
    """one line"""
    traceback: str
    kind: FaultKind = "own"
    gpu_failed: bool = False
    """whether the process that met it can use its GPU no more"""

    @classmethod
    def of(cls, error: BaseException) -> "Fault":
        """Of an exception as it was caught; one that another process raised is told as it was there."""
        # Bytes of file names that are not UTF-8 would fit no record.
        trace = _text("".join(traceback.format_exception(error)))
        if not isinstance(error, _loaded("ray.exceptions", "RayError")):
            return cls(_line(error), trace, _kind(error), gpu_failed(error))
        if not isinstance(error, _loaded("ray.exceptions", "RayTaskError")):
            return cls(LOST, trace, "infrastructure")
        if isinstance(error.cause, BaseException):
            return cls.of(error.cause)._replace(traceback=_text(str(error)))
        return cls(_line(error), _text(str(error)))

    def after(self, tries: int) -> "Fault":
        """The same at the end of so many tries."""
        return (
            self
            if tries == 1 or self.kind in ("own", "stopped")
            else self._replace(error=f"{self.error}, {tries} times")
        )


class Attempts:
    """How often a unit of work was tried, counted anew where it came further before a fault than before the last one.

    `progress` tells how far it is.
    """

    def __init__(self, progress: Callable[[], int] = lambda: 0) -> None:
        self.number = 0
        self._progress, self._furthest = progress, 0

    def begun(self) -> None:
        """One more begins."""
        self.number += 1

    def passed(self, fault: Fault) -> bool:
        """Whether it is tried again after a fault, as far as that depends on how often it was."""
        if (now := self._progress()) > self._furthest:
            self._furthest, self.number = now, 1
        return fault.kind == "infrastructure" and self.number <= RETRIES


def pause_seconds(tries: int) -> float:
    """How long to wait after so many tries: a second, and three times as long after each of the next."""
    return _FIRST_PAUSE_SECONDS * _GROWTH ** (tries - 1)


def _kind(error: BaseException) -> FaultKind:
    if isinstance(error, StoppedError):
        return "stopped"
    if isinstance(error, UnavailableError):
        return "infrastructure"
    if lacks_gpu_memory(error):
        return "GPU memory"
    if gpu_failed(error):
        return "infrastructure"
    if isinstance(error, OSError | MemoryError) and not isinstance(error, _LASTING):
        return "infrastructure"
    # PyTorch has no exception of its own for the memory of the machine.
    return "infrastructure" if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error) else "own"


def _line(error: BaseException) -> str:
    line = printable(next(iter(str(error).strip().splitlines()), ""))
    if isinstance(error, GladRayError):
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _loaded(module: str, name: str) -> Any:
    """An exception of a module that this process has imported; otherwise nothing here can be one."""
    return getattr(sys.modules.get(module), name, ())
