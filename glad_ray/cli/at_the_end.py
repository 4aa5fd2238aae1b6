"""A command of the user's that is run once when a sweep or search has ended, with what happened in its environment."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Annotated

import typer

from glad_ray.api.running import say
from glad_ray.errors import BudgetError, UserError
from glad_ray.progress.faults import Fault
from glad_ray.storage import Storage

OnEnd = Annotated[
    str | None,
    typer.Option(
        "--on-end",
        metavar="COMMAND",
        help="Run this once at the end, by the shell. Its environment has GLAD_RAY_OUTCOME (finished, failed, budget, "
        "interrupted or refused), GLAD_RAY_MESSAGE (why, in one line) and GLAD_RAY_STORAGE.",
    ),
]


@contextlib.contextmanager
def then(command: str | None, storage: Storage) -> Iterator[None]:
    """Run a command at the end, whatever that is; what becomes of the command changes nothing."""
    if command is None:
        yield
        return
    outcome, message = "finished", ""
    try:
        yield
    except BaseException as error:
        outcome, message = _outcome(error), Fault.of(error).error
        raise
    finally:
        told = {"GLAD_RAY_OUTCOME": outcome, "GLAD_RAY_MESSAGE": message, "GLAD_RAY_STORAGE": str(storage)}
        code = subprocess.run(command, shell=True, check=False, env={**os.environ, **told}).returncode
        if code:
            say(f"The command of --on-end ended with exit code {code}: {command}")


def _outcome(error: BaseException) -> str:
    match error:
        case KeyboardInterrupt():
            return "interrupted"
        case BudgetError():
            return "budget"
        case UserError():
            return "refused"
    return "failed"
