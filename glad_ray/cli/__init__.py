"""The command `glad-ray`: a thin edge that turns words into records and errors into one sentence with exit code 2."""

import contextlib
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from glad_ray.cli import first_files, generators, removing, runs, searches, serving, sweeps
from glad_ray.cli.output import Lasting, open_closed_streams
from glad_ray.errors import BudgetError, GladRayError, UserError
from glad_ray.interrupts import first_of_all, raised
from glad_ray.progress.faults import Fault
from glad_ray.version import __version__

app = typer.Typer(
    help="Dataset distillation as one command: a grid of experiments in, a table a reviewer would trust out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    first_files.init,
    sweeps.plan,
    sweeps.sweep,
    sweeps.retry,
    searches.search,
    runs.distill,
    runs.evaluate,
    runs.export,
    runs.experts,
    sweeps.status,
    serving.serve,
    sweeps.report,
    removing.remove,
):
    app.command()(command)
app.add_typer(generators.app, name="generator", no_args_is_help=True)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"glad-ray {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of the command itself."""


_MENDED = "what is finished is kept; once this is mended, the same command goes on from there."
_INTERRUPTED = "Interrupted: what is finished is kept; the same command goes on from there."
# Typer brings its own copy of click or uses the one that is installed, by version; the base class is the same word.
_UsageError: Any = typer.BadParameter.__base__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0; 2 after bad input; 1 after a failed run, or where storage or the
    cluster is lost; 3 where a budget ended it; 130 or 143 if interrupted by SIGINT or SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_closed_streams()
    output, errors = Lasting(sys.stdout), Lasting(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = _run(words)
        output.flush()
        if output.failed is not None and code == 0:
            code = _complain(f"What this command printed is not whole ({output.failed.strerror}): make room.", 1)
        errors.flush()
        return code


def _run(words: Sequence[str]) -> int:
    with raised() as interrupted:
        try:
            with first_of_all():
                result = app(args=[word for word in words if word != "--"], prog_name="glad-ray", standalone_mode=False)
            code = result if isinstance(result, int) else 0
            # Typer itself catches the interrupt and only returns its code.
            return _complain(_INTERRUPTED, interrupted() or code) if code == 130 else code
        except UserError as error:
            return _complain(str(error), 2)
        except _UsageError as error:
            return _complain(error.format_message(), 2)
        except BudgetError as error:
            return _complain(str(error), 3)
        except GladRayError as error:
            return _complain(str(error), 1)
        except OSError as error:
            fault = Fault.of(error)
            if fault.kind != "infrastructure":
                raise
            return _complain(f"{fault.error}: {_MENDED}", 1)
        except (KeyboardInterrupt, typer.Abort):
            return _complain(_INTERRUPTED, interrupted() or 130)
        except SystemExit as error:
            return _complain(f"{_place(error)} ended this command by an exit with code {error.code!r}.", 1)


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"


def _complain(sentence: str, code: int) -> int:
    print(f"glad-ray: {sentence}", file=sys.stderr)
    return code
