"""Other people's code by name: `package.module:callable`."""

import importlib
import traceback
from collections.abc import Callable
from typing import Any

from glad_ray.errors import UserError, error_line, unknown
from glad_ray.gpu_errors import of_gpu
from glad_ray.module_path import hidden_file, hidden_file_of
from glad_ray.process_state import restored


def import_callable(name: str, role: str, makes: str) -> Callable[..., Any]:
    """The callable of that name; raises `UserError` in the words of its `role` (Network) and of what it `makes`.

    What its module sets as it is imported (the default type of tensors, environment variables) is as it was afterwards:
    a process imports a module once, and would compute otherwise before and after.
    """
    module_name, _, callable_name = name.partition(":")
    try:
        with restored():
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if (isinstance(error, SystemExit) and _raised_by_ray(error)) or of_gpu(error):
            raise
        hidden = hidden_file_of(error)
        raise UserError(
            f"{role} {name}: {module_name} cannot be imported ({error_line(error)}): install its package, or put its "
            f"folder on PYTHONPATH, on every machine that uses it. {hidden}".strip()
        ) from error
    if not hasattr(module, callable_name):
        public = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        other = unknown(f"callable of {module_name}", callable_name, public)
        raise UserError(f"{other} {hidden_file(module_name)}".strip())
    found: object = getattr(module, callable_name)
    if not callable(found):
        raise UserError(
            f"{role} {name} cannot be called, it is of type {type(found).__name__}: name a class or a function that "
            f"makes {makes}. {hidden_file(module_name)}".strip()
        )
    return found


def _raised_by_ray(error: SystemExit) -> bool:
    """Whether the exit is Ray's, which ends its workers so."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").partition(".")[0] == "ray"
