"""A sweep file: Python that exposes `sweep()`, or `search()`. It is the user's own code and runs as such. Or the
`plan.json` of a storage, which keeps the sweep as it was run.

Whatever that code raises becomes one sentence with its line. An exit of the process itself (`os._exit`) cannot be met.
"""

import contextlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CoroutineType, GeneratorType, ModuleType
from typing import TypeVar

from glad_ray.errors import GladRayError, UserError, error_line
from glad_ray.module_path import hidden_file_of, look_last_in
from glad_ray.spec.record import Record
from glad_ray.spec.searches.search import Search
from glad_ray.spec.sweep import Sweep

Made = TypeVar("Made", bound=Record)

_OTHER = {"sweep": "search", "search": "sweep"}


def load_sweep(path: Path) -> Sweep:
    """The sweep a file describes, a Python file or a `plan.json`; raises `UserError` naming the file, and the line
    where it went wrong.

    Modules beside it can be imported from then on, here and in processes that this one starts, unless a library has
    their name.
    """
    return _kept(path) if path.suffix == ".json" and path.is_file() else _load(path, "sweep", Sweep)


def load_search(path: Path) -> Search:
    """The search a file describes; as `load_sweep`."""
    return _load(path, "search", Search)


def check_main_guard() -> None:
    """Raise `UserError` if this is called by a module that is being imported, whose call lacks its guard."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            raise UserError(
                f"{frame.f_code.co_filename}:{frame.f_lineno} starts a sweep as soon as the file is imported: put the "
                'call of glad_ray.main() under the line if __name__ == "__main__":.'
            )
        frame = frame.f_back


def _kept(path: Path) -> Sweep:
    """The sweep that a `plan.json` keeps, with all that was set when it was run."""
    try:
        return Sweep.model_validate(json.loads(path.read_bytes())["sweep"])
    except (GladRayError, ValueError, TypeError, LookupError) as error:
        raise UserError(
            f"{path} keeps no sweep that this version can read: name the plan.json of a storage, or a Python file that "
            "has a function sweep()."
        ) from error


def _load(path: Path, name: str, kind: type[Made]) -> Made:
    returns = f"glad_ray.{kind.__name__}(...)"
    module = _run(path, name)
    function = _function(module, path, name, returns)
    with _in_a_sentence(path):
        made = function()
    if isinstance(made, kind):
        return made
    how = ""
    if isinstance(made, CoroutineType):
        made.close()
        how = "; define it with def, without async"
    elif isinstance(made, GeneratorType):
        how = "; it must not contain yield"
    raise UserError(f"{name}() in {path} returned {type(made).__name__}: it must return {returns}{how}.")


def _run(path: Path, name: str) -> ModuleType:
    """The module of a file, run without leaving compiled code beside it."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a Python file in it that has a function {name}().")
    if not path.is_file():
        raise UserError(f"There is no {name} file {path}: name a Python file that has a function {name}().")
    if path.suffix != ".py":
        raise UserError(f"{path} is not a Python file: a {name} file ends in .py and has a function {name}().")
    module = ModuleType(f"sweep_file_{path.stem.replace('-', '_')}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    look_last_in(str(path.resolve().parent))
    with _in_a_sentence(path):
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
    return module


def _function(module: ModuleType, path: Path, name: str, returns: str) -> Callable[[], object]:
    found: object = getattr(module, name, None)
    if not callable(found):
        if callable(getattr(module, _OTHER[name], None)):
            raise UserError(
                f"{path} has a function {_OTHER[name]}() and no {name}(): give it to glad-ray {_OTHER[name]}."
            )
        if found is not None:
            raise UserError(
                f"{name} in {path} is no function but of type {type(found).__name__}: define {name}() that returns "
                f"{returns}."
            )
        raise UserError(f"{path} has no function {name}(): define one that returns {returns}.")
    with contextlib.suppress(ValueError, TypeError):
        needed = [
            parameter.name
            for parameter in inspect.signature(found).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if needed:
            raise UserError(
                f"{name}() in {path} takes arguments ({', '.join(needed)}): it is called without any, so give each a "
                "default or leave it out."
            )
    return found


@contextlib.contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    """Whatever the code of a file raises, but an interrupt, becomes a `UserError` that names file and line."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except GladRayError as error:
        where = "" if str(path) in str(error) else f"{path}{_line_in(path, error)}: "
        raise UserError(f"{where}{error}") from error
    except SystemExit as error:
        raise UserError(
            f"{path}{_line_in(path, error)} ends Python with exit code {error.code!r} before the sweep begins: take "
            'that out, or put it under the line if __name__ == "__main__":.'
        ) from error
    except BaseException as error:
        hidden = hidden_file_of(error)
        raise UserError(
            f"{path}{_line_in(path, error)} does not run: {error_line(error)}{_where(path, error)}; "
            f"{hidden or 'correct it and try again.'}"
        ) from error


def _line_in(path: Path, error: BaseException) -> str:
    """`:<line>`, the last line of the file that was running."""
    if isinstance(error, SyntaxError) and error.filename == str(path) and error.lineno is not None:
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""


def _where(path: Path, error: BaseException) -> str:
    """The last line of the user's own code that was running, with its place if that is a module beside the file."""
    if isinstance(error, SyntaxError):
        here = "" if error.filename in (None, str(path)) else f" at {error.filename}:{error.lineno}"
        return f"{here}, in `{error.text.strip()}`" if error.text and error.text.strip() else here
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(path, frame.filename)]
    if not own or not own[-1].line:
        return ""
    place = "" if own[-1].filename == str(path) else f" at {own[-1].filename}:{own[-1].lineno}"
    return f"{place}, in `{own[-1].line.strip()}`"


def _is_own(path: Path, filename: str) -> bool:
    """Whether it is the file, or a module beside it and no library."""
    file, libraries = Path(filename), (Path(sys.prefix), Path(__file__).parents[2])
    if filename == str(path):
        return True
    return file.is_relative_to(path.resolve().parent) and not any(file.is_relative_to(each) for each in libraries)
