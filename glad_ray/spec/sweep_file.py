"""A sweep file: Python that exposes `sweep()`. It is the user's own code and runs as such."""

import importlib.util
import os
import sys
import traceback
from pathlib import Path

from glad_ray.errors import GladRayError, UserError
from glad_ray.spec.sweep import Sweep


def load_sweep(path: Path) -> Sweep:
    """The sweep a file describes; raises `UserError` naming the file, and the line where it went wrong.

    Modules beside it can be imported from then on, here and in processes that this one starts, as a script's can.
    """
    if not path.is_file():
        raise UserError(f"There is no sweep file {path}: name a Python file that has a function sweep().")
    spec = importlib.util.spec_from_file_location(f"sweep_file_{path.stem.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file: a sweep file ends in .py and has a function sweep().")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([folder, *filter(None, there)]))
    try:
        spec.loader.exec_module(module)
        function = getattr(module, "sweep", None)
        if not callable(function):
            raise UserError(f"{path} has no function sweep(): define one that returns glad_ray.Sweep(...).")
        sweep = function()
    except GladRayError as error:
        if str(path) in str(error):
            raise
        raise UserError(f"{path}{_line_in(path, error)}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{path}{_line_in(path, error)} does not run: {type(error).__name__}: {error}; mend the file and try again."
        ) from error
    if not isinstance(sweep, Sweep):
        raise UserError(f"sweep() in {path} returned {type(sweep).__name__}: it must return glad_ray.Sweep(...).")
    return sweep


def _line_in(path: Path, error: BaseException) -> str:
    """`:<line>`, the last line of the file that was running."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""
