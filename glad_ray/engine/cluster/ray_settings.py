"""Environment variables that Ray reads: to set them for a while, and to refuse those that it cannot read."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

from glad_ray.errors import UserError

_UV = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"
_OF_RAY_ITSELF = "RAY_CLIENT_MODE"
"""which it sets in every process that uses it"""
_NUMBER = re.compile(r"-?\d+(\.\d+)?|true|false", re.IGNORECASE)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and afterwards make them what they were."""
    found = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in found.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def unless_set(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that nobody has set."""
    return {name: value for name, value in variables.items() if name not in os.environ}


def check_ray_settings() -> None:
    """Raise `UserError` if Ray cannot be loaded with the variables that are set: a number that it cannot read ends the
    process that imports it, without a word. To be called before Ray is imported.
    """
    settings = {name: value for name, value in os.environ.items() if re.fullmatch(r"RAY_[a-z]\w*", name)}
    unread = {name: value for name, value in settings.items() if not _NUMBER.fullmatch(value)}
    if not unread or "ray" in sys.modules:
        return
    # Some are words and not numbers: only Ray knows which.
    ended = subprocess.run([sys.executable, "-P", "-c", "import ray"], capture_output=True, check=False)
    if ended.returncode < 0:
        told = ", ".join(f"{name}={value!r}" for name, value in unread.items())
        raise UserError(
            f"Ray cannot be loaded ({signal.Signals(-ended.returncode).name}) with what is set in the environment: "
            f"{told}. Where Ray wants a number, give one, or unset the variable."
        )


@contextlib.contextmanager
def uv_run_ignored() -> Iterator[None]:
    """Within, Ray does not notice that `uv run` started this process, unless the user has set the variable for it.

    Ray would start every worker by `uv run` in a copy of the working folder, with all results that lie in it, and only
    from a project's root and up to 512 MiB. Workers here have the environment that the driver has.
    """
    from ray._private import ray_constants

    if _UV in os.environ:
        yield
        return
    # Ray reads the variable when it is imported, which a sweep file may have done before.
    found = getattr(ray_constants, _UV, None)
    setattr(ray_constants, _UV, False)
    try:
        yield
    finally:
        setattr(ray_constants, _UV, found)


def settings_here() -> str:
    """The names of the variables of Ray that are set, for messages; none: nothing."""
    names = sorted(name for name in os.environ if name.startswith("RAY_") and name != _OF_RAY_ITSELF)
    return f" (set here: {', '.join(names)})" if names else ""
