"""What a check is, and how it is run: piece by piece, within its time, going on after a piece that fails."""

import contextlib
import gc
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

Number = float | int | str


@dataclass(frozen=True)
class Setting:
    """What all checks are given."""

    device: torch.device
    quick: bool = False
    """sizes that measure nothing, to see that every check runs"""
    reference: Path | None = None
    """checkout of the paper's code"""

    @property
    def gpu(self) -> bool:
        """Whether there is something to measure."""
        return self.device.type == "cuda"

    def size(self, full: Any, quick: Any) -> Any:
        """The first, or the second where sizes should measure nothing."""
        return quick if self.quick else full


class Measured(NamedTuple):
    """What one piece of a check found."""

    numbers: Mapping[str, Number]
    passed: bool | None = None
    """whether a limit was kept; None where there is none"""


class Piece(NamedTuple):
    """A part of a check that may fail without the others."""

    name: str
    measure: Callable[[], Measured]


@dataclass(frozen=True)
class Check:
    """One thing that only a GPU can show."""

    name: str
    claim: str
    """what is measured, and against which limit"""
    share: float
    """of the time there is, relative to the other checks"""
    pieces: Callable[[Setting], Iterable[Piece]]


class Row(NamedTuple):
    """The outcome of a piece."""

    name: str
    numbers: Mapping[str, Number]
    passed: bool | None
    error: str | None
    """the traceback, if there is one"""
    seconds: float

    @property
    def verdict(self) -> str:
        """PASS, FAIL, ERROR with the last line of the traceback, or nothing where there is no limit."""
        if self.error is not None:
            return f"ERROR {self.error.strip().splitlines()[-1]}"
        return {None: "", True: "PASS", False: "FAIL"}[self.passed]


@dataclass
class Outcome:
    """The outcome of a check."""

    check: Check
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    unfinished: str | None = None
    """why not all pieces were measured"""

    @property
    def passed(self) -> bool:
        """Whether all pieces were measured and all limits kept."""
        return self.unfinished is None and all(row.error is None and row.passed is not False for row in self.rows)


class OutOfTime(BaseException):
    """The time of a check is over; not an `Exception`, so that nothing on the way takes it for a failure of its own."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the body after so many seconds, as soon as Python has the word again; main thread only."""

    def over(*_: object) -> None:
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, over)
    began = time.monotonic()
    others, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if others:
            # The timer of a caller goes on as if it had not been stopped.
            signal.setitimer(signal.ITIMER_REAL, max(others - (time.monotonic() - began), 0.001), interval)


def run_check(check: Check, setting: Setting, seconds: float, tell: Callable[[str], None]) -> Outcome:
    """All pieces of a check, within so many seconds; what fails is a row, and the next piece follows."""
    outcome, began = Outcome(check), time.monotonic()
    try:
        with at_most(seconds):
            for piece in check.pieces(setting):
                row = _row(piece)
                outcome.rows.append(row)
                tell(f"{check.name}: {row.name}: {row.seconds:.1f} s {row.verdict}")
    except OutOfTime:
        outcome.unfinished = f"its {seconds:.0f} s were over"
    except Exception as error:
        outcome.unfinished = traceback.format_exc()
        tell(f"{check.name}: {error!r}")
    outcome.seconds = time.monotonic() - began
    return outcome


def _row(piece: Piece) -> Row:
    began, numbers, passed, error = time.monotonic(), {}, None, None
    try:
        numbers, passed = piece.measure()
    except Exception:
        error = traceback.format_exc()
    # What a failed piece held, its traceback too, is no longer referred to.
    gc.collect()
    if torch.cuda.is_initialized():
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()
    return Row(piece.name, numbers, passed, error, time.monotonic() - began)
