"""A sweep file: Python that exposes `sweep()`, or `search()`. It is the user's own code and runs as such."""

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TypeVar

from glad_ray.errors import GladRayError, UserError
from glad_ray.spec.record import Record
from glad_ray.spec.search import Search
from glad_ray.spec.sweep import Sweep

Made = TypeVar("Made", bound=Record)


def load_sweep(path: Path) -> Sweep:
    """The sweep a file describes; raises `UserError` naming the file, and the line where it went wrong.

    Modules beside it can be imported from then on, here and in processes that this one starts, as a script's can.
    """
    return _load(path, "sweep", Sweep)


def load_search(path: Path) -> Search:
    """The search a file describes; as `load_sweep`."""
    return _load(path, "search", Search)


def _load(path: Path, name: str, kind: type[Made]) -> Made:
    if not path.is_file():
        raise UserError(f"There is no {name} file {path}: name a Python file that has a function {name}().")
    spec = importlib.util.spec_from_file_location(f"sweep_file_{path.stem.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file: a {name} file ends in .py and has a function {name}().")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([folder, *filter(None, there)]))
    try:
        spec.loader.exec_module(module)
        function = getattr(module, name, None)
        other = {"sweep": "search", "search": "sweep"}[name]
        if not callable(function) and callable(getattr(module, other, None)):
            raise UserError(f"{path} has a function {other}() and no {name}(): give it to glad-ray {other}.")
        if not callable(function):
            raise UserError(f"{path} has no function {name}(): define one that returns glad_ray.{kind.__name__}(...).")
        made = function()
    except GladRayError as error:
        if str(path) in str(error):
            raise
        raise UserError(f"{path}{_line_in(path, error)}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{path}{_line_in(path, error)} does not run: {type(error).__name__}: {error}; mend the file and try again."
        ) from error
    if not isinstance(made, kind):
        raise UserError(
            f"{name}() in {path} returned {type(made).__name__}: it must return glad_ray.{kind.__name__}(...)."
        )
    return made


def _line_in(path: Path, error: BaseException) -> str:
    """`:<line>`, the last line of the file that was running."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""
