"""What Ray raises when it cannot start here or join a cluster, as one error that says how to mend it."""

import errno
import os
import shlex
import subprocess
import sys
import tempfile

import ray
from ray.exceptions import AuthenticationError

from glad_ray.engine.cluster.addresses import Address
from glad_ray.engine.cluster.ray_settings import settings_here
from glad_ray.errors import UserError

_LONGEST = 400
"""characters of a reason that are told whole"""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_MANY = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_LOADING = "the Python and its packages are the same on all machines (constraints.txt)"


def start_error(error: Exception, address: Address) -> UserError:
    """What was tried, what went wrong in Ray's own words (their first line at least), and how to mend it."""
    tried = (
        "Ray could not be started on this machine"
        if address.local
        else f"The Ray cluster at {address.given} could not be joined"
    )
    return UserError(f"{tried}: {_reason(error)}. {_remedy(error, address)}{settings_here()}.")


def check_python_path() -> None:
    """Raise `UserError` if Ray cannot start processes by this Python, as its path is not what a shell reads of it."""
    paths = [sys.executable, str(ray.__file__)]
    try:
        understood = shlex.split(subprocess.list2cmdline(paths)) == paths
    except ValueError:
        understood = False
    if not understood:
        raise UserError(
            f"Ray cannot start processes by {sys.executable}: there is a backslash or an apostrophe in its path, and "
            "no space. Make the virtual environment in another folder, or rename this one."
        )


def ray_logs() -> str:
    """The folder with what Ray's processes on this machine have written."""
    if ray.is_initialized():
        context = ray.get_runtime_context()
        return os.path.join(context.get_temp_dir(), context.get_session_name(), "logs")
    return os.path.join(_temporary(), "ray", "session_latest", "logs")


def _reason(error: BaseException) -> str:
    """What an error says, and the one at the bottom of it, each in one line."""
    bottom = error
    while bottom.__cause__ is not None:
        bottom = bottom.__cause__
    return ": ".join(dict.fromkeys((_line(error), _line(bottom))))


def _line(error: BaseException) -> str:
    said = str(error).strip()
    whole = " ".join(said.split())
    line = whole if len(whole) <= _LONGEST else next(iter(said.splitlines()))[:_LONGEST]
    named = line if isinstance(error, OSError | UserError) and line else f"{type(error).__name__}: {line}"
    return named.rstrip(".: ")


def _remedy(error: Exception, address: Address) -> str:
    said = _reason(error)
    match error:
        case AuthenticationError():
            return "Copy the cluster's token, which ray get-auth-token prints on its head, to ~/.ray/auth_token"
        case UnicodeError():
            return (
                f"Ray takes ASCII letters alone in the path of its folder: name one by RAY_TMPDIR (now {_temporary()})"
            )
        case OSError() if "AF_UNIX" in said:
            return f"Name a folder with a shorter path by RAY_TMPDIR (now {_temporary()})"
        case OSError(errno=number) if number in _FULL:
            return f"Make room, or name a folder on another disk by RAY_TMPDIR (now {_temporary()})"
        case OSError(errno=number) if number in _TOO_MANY:
            return "Allow more files and processes (ulimit -n 65536, ulimit -u), or end others"
        case OSError(errno=errno.EADDRINUSE):
            return "End what listens on that port, or unset the variable that names it"
        case OSError() if address.local and not isinstance(error, ConnectionError | TimeoutError):
            return f"Name a folder that can be written by RAY_TMPDIR (now {_temporary()})"
    if "ersion mismatch" in said:
        return f"See that {_LOADING}"
    if "object store" in said or "/dev/shm" in said:
        return (
            "Give the machine more memory or /dev/shm (--shm-size for a container), or bound what Ray takes by "
            "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES (at least 78643200)"
        )
    if "working_dir" in said or "runtime environment" in said:
        return "See what the job's runtime environment asks for, and what lies in the folder that it packs"
    if isinstance(error, ValueError | ImportError):
        return "See whether a variable of Ray is set to what it cannot read"
    if not address.local:
        return (
            "A command drives a cluster from one of its machines: run it there, by ray submit, ray job or ray exec, or "
            f"let this one join by ray start --address; Ray's logs are in {ray_logs()}"
        )
    return (
        f"Ray's logs in {ray_logs()} say more; usual reasons are too little memory, a full disk, too few open files "
        "(ulimit -n), and a variable of Ray that it cannot read"
    )


def _temporary() -> str:
    """The folder that Ray makes its own in."""
    return (
        os.environ.get("RAY_TMPDIR")
        or os.environ.get("TMPDIR")
        or ("/tmp" if os.name == "posix" else tempfile.gettempdir())
    )
