"""Other people's code by name: `package.module:callable`."""

import importlib
from collections.abc import Callable
from typing import Any

from glad_ray.errors import UserError, unknown


def import_callable(name: str, role: str, makes: str) -> Callable[..., Any]:
    """The callable of that name; raises `UserError` in the words of its `role` (Network) and of what it `makes`."""
    module_name, _, callable_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"{role} {name}: {module_name} cannot be imported ({told(error)}): install its package, or put its "
            "folder on PYTHONPATH, on every machine that uses it."
        ) from error
    if not hasattr(module, callable_name):
        public = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        raise unknown(f"callable of {module_name}", callable_name, public)
    found: object = getattr(module, callable_name)
    if not callable(found):
        raise UserError(
            f"{role} {name} cannot be called, it is of type {type(found).__name__}: name a class or a function that "
            f"makes {makes}."
        )
    return found


def told(error: Exception) -> str:
    """An error of other code in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
