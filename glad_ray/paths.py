"""Paths as users write them: `~` and `~user` stand for home folders, which not every machine or container has."""

import os
import pwd
from pathlib import Path

from glad_ray.errors import UserError


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with its home folder written out; raises `UserError` if that is not known here."""
    text = os.fspath(path)
    if not text.startswith("~"):
        return Path(text)
    user, _, rest = text[1:].partition("/")
    return (_home_of(user, text) if user else _home(text)) / rest.lstrip("/")


def _home_of(user: str, text: str) -> Path:
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{text} names the home folder of {user!r}, and this machine has no such user: write the whole path, or "
            f"./{text} for a file of that name."
        ) from error


def _home(text: str) -> Path:
    home = os.environ.get("HOME", "")
    if not home:
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError as error:
            raise UserError(
                f"{text} names the home folder, and there is none: HOME is not set, and this machine does not know the "
                "user; set HOME, or write the whole path."
            ) from error
    if not os.path.isabs(home):
        raise UserError(f"{text} names the home folder, and HOME is {home!r}: set it to a whole path.")
    return Path(home)
