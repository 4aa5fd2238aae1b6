"""Tokens: what a Ray cluster asks for, and what this process shows.

Whoever can reach a cluster without a token runs code on it, and Ray listens on all of a machine's networks. So a new
cluster on this machine asks for one, as Ray has it by default. Where the user has none, it is one of this process that
is in no file: Ray would leave one in ~/.ray/auth_token, and from then on every `ray start` on the machine would ask for
it. A cluster that others started is asked first: one that wants no token cannot be used with one, nor the reverse.
"""

import contextlib
import importlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from ray.exceptions import AuthenticationError

from glad_ray.engine.cluster.ray_settings import environment
from glad_ray.errors import UserError

_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_MODES = ("token", "disabled")
_RAYLET: Any = importlib.import_module("ray._raylet")
"""whose stub leaves these two classes out"""
_ANSWER_SECONDS = 10
_LOOKED_FOR = f"in ${_TOKEN}, in the file that ${_TOKEN_PATH} names, and else in ~/.ray/auth_token"

# In a process of its own, as nothing else bounds how long Ray waits for an answer, and it keeps the mode that it had
# first. SIGALRM ends it.
_ASK = """
import os, signal, sys
from ray._raylet import AuthenticationTokenLoader, Config, GcsClient
from ray.exceptions import AuthenticationError

def refused(mode):
    os.environ["RAY_AUTH_MODE"] = mode
    Config.initialize("")
    try:
        GcsClient(address=sys.argv[1])
    except AuthenticationError:
        return True
    return False

def has_token():
    try:
        return AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    except AuthenticationError:
        return False

signal.alarm(int(sys.argv[2]))
if not refused("disabled"):
    print("disabled")
elif not has_token():
    print("no token")
else:
    print("wrong token" if refused("token") else "token")
"""


@contextlib.contextmanager
def authenticated(address: str | None) -> Iterator[None]:
    """Within, this process shows the token that the cluster at host:port asks for, or none where it asks for none.

    None: a new cluster on this machine, which asks for the user's token or, where there is none, for one that only
    this process and those that it starts know; RAY_AUTH_MODE=disabled is heeded. Raises `UserError` where the token is
    missing or wrong, or RAY_AUTH_MODE says what the cluster does not.
    """
    wanted = _wanted_mode()
    if address is None:
        mode = wanted or "token"
        own = {_TOKEN: secrets.token_hex(32)} if mode == "token" and not _has_token() else {}
    else:
        mode, own = _asked_mode(address, wanted), {}
    with environment({_MODE: mode} | own):
        _read_again()
        try:
            yield
        finally:
            # What Ray itself sets while it starts goes too.
            os.environ[_MODE] = mode
    _read_again()


def _wanted_mode() -> str | None:
    """What the user wants; None: nothing is said."""
    given = os.environ.get(_MODE)
    if given is None:
        return None
    if given.lower() not in _MODES:
        raise UserError(f"{_MODE} is {given!r}: use token or disabled, or unset it.")
    return given.lower()


def _asked_mode(address: str, wanted: str | None) -> str:
    """What the cluster wants; raises `UserError` unless that can be had."""
    words = [sys.executable, "-P", "-c", _ASK, address, str(_ANSWER_SECONDS)]
    ended = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    answer = ended.stdout.strip()
    if not answer:
        said = [line for line in ended.stderr.splitlines() if line.strip()]
        raise UserError(
            f"What listens at {address} does not answer as the head of a Ray cluster does, within {_ANSWER_SECONDS} "
            "seconds: give --address the address that ray start printed on the head, or use --address local"
            f"{f' ({said[-1].strip()})' if said and ended.returncode > 0 else ''}."
        )
    if answer == "disabled" and wanted == "token":
        raise UserError(
            f"{_MODE} is token, and the Ray cluster at {address} asks for no token: unset {_MODE}, or set it where the "
            "cluster is started."
        )
    if answer != "disabled" and wanted == "disabled":
        raise UserError(f"{_MODE} is disabled, and the Ray cluster at {address} asks for a token: unset {_MODE}.")
    if answer == "no token":
        raise UserError(
            f"The Ray cluster at {address} asks for a token, and none can be read here {_where_token()} (it is "
            f"looked for {_LOOKED_FOR}). "
            "Copy the cluster's to ~/.ray/auth_token; ray get-auth-token prints it on the head."
        )
    if answer == "wrong token":
        raise UserError(
            f"The Ray cluster at {address} asks for another token than the one {_where_token()} (a token is looked for "
            f"{_LOOKED_FOR}): put the cluster's there, which ray get-auth-token prints on its head."
        )
    return answer


def _where_token() -> str:
    """Where Ray takes the user's token from."""
    if os.environ.get(_TOKEN):
        return f"in ${_TOKEN}"
    path = os.environ.get(_TOKEN_PATH)
    return f"in {path} (${_TOKEN_PATH})" if path else "in ~/.ray/auth_token"


def _has_token() -> bool:
    """Whether the user has a token; raises `UserError` if the file that is named for it cannot be read."""
    try:
        return bool(_RAYLET.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True))
    except AuthenticationError as error:
        raise UserError(
            f"${_TOKEN_PATH} names {os.environ.get(_TOKEN_PATH)}, where no token can be read: name a file with one, "
            "which ray get-auth-token --generate makes, or unset it."
        ) from error


def _read_again() -> None:
    """Ray keeps the mode and the token that it read first."""
    _RAYLET.AuthenticationTokenLoader.instance().reset_cache()
    _RAYLET.Config.initialize("")
