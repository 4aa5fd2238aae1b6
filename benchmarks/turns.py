"""Work in processes of their own that take turns: versions that cannot share a process, as those of two checkouts or
with two allocators.

Such a process makes one unit of work after another. After each it writes a line, of JSON with what the unit took, and
waits for a line before the next. What else it prints goes to its standard error.

    python benchmarks/turns.py MODULE ARGUMENTS

is such a process: it calls `MODULE.work(**arguments)` of arguments in JSON, which gives the work.
"""

import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any, Self

from timing import Timing

from glad_ray.errors import UserError

Work = Callable[[Callable[[], None]], None]
"""Calls a function after each unit of work."""


class Over(BaseException):
    """Nobody asks for another unit; not an `Exception`, so that the work does not take it for a failure of its own."""


class Candidate:
    """Work in another process, which begins when the first unit is asked for and ends with this context."""

    def __init__(self, name: str, module: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._name = name
        self._command = [sys.executable, __file__, module, json.dumps(arguments)]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None

    def turn(self) -> Timing:
        """What the next unit takes, the first one with all that comes before it; raises `UserError` if it fails."""
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, env=self._environment)
        else:
            with contextlib.suppress(BrokenPipeError):
                print(file=_open(self._process.stdin), flush=True)
        answer = _open(self._process.stdout).readline()
        if not answer:
            raise UserError(f"{self._name}: the process ended with exit code {self._process.wait()}.")
        found = json.loads(answer)
        if "error" in found:
            raise UserError(f"{self._name}: {found['error']}")
        return Timing(**found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                _open(self._process.stdin).close()
            _open(self._process.stdout).close()
            self._process.wait()


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "both ends of the process are pipes"
    return pipe


class Turns:
    """The same in the process that works."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._begin()

    def after_unit(self) -> None:
        """Say what the unit took that has just ended, and wait for the next turn; raises `Over` if there is none."""
        self.answer({"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu})
        if not sys.stdin.readline():
            raise Over
        gc.collect()
        self._begin()

    def answer(self, found: Mapping[str, Any]) -> None:
        """Write a line."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(found), file=self._answers, flush=True)

    def _begin(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def main() -> None:
    """Be the process that works."""
    module, arguments = sys.argv[1:]
    turns = Turns()
    try:
        work: Work = importlib.import_module(module).work(**json.loads(arguments))
        work(turns.after_unit)
    except Over:
        return
    except Exception as error:
        # These are faults of what was asked for; of others, one wants to see where they are.
        if not isinstance(error, UserError | ImportError):
            traceback.print_exc()
        turns.answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    # As the module that others import: `Over` is one class.
    importlib.import_module("turns").main()
