"""The error tree: what a user can mend, and what a run did wrong.

Everything a user can cause is a `UserError`; the command line prints its one sentence and exits with 2.
"""

import difflib
import errno
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

_REMEDIES = {
    errno.ENOENT: "put it back, or name another",
    errno.ENOTDIR: "put it back, or name another",
    errno.EISDIR: "a file has to be there, and it is a folder",
    errno.EACCES: "let this user read it",
    errno.EPERM: "let this user read it",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "its links lead in a circle, which has to be broken",
}
"""What a user does about errors of reading that stay."""
_LASTING = (*_REMEDIES, errno.EEXIST, errno.ENOTEMPTY, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""categories of Unicode: control characters, bytes that are no UTF-8, separators of lines and paragraphs"""


class GladRayError(Exception):
    """Base of every error raised on purpose by this package."""


class UserError(GladRayError):
    """Bad input: its message says what was wrong, what is allowed and how to mend it."""


class DataError(UserError):
    """A data file is missing, corrupt or of the wrong form; its message names the file."""


class UnavailableError(GladRayError):
    """Something cannot be used at present, a file or a GPU, through no fault of the work: a later try may succeed."""


class BudgetError(GladRayError):
    """What one command may take is spent; what is left goes on with the next."""


class StoppedError(GladRayError):
    """Work was told to end before its own end: it is neither done nor failed, and goes on another time."""


class RunError(GladRayError):
    """A run failed for a reason of its own (a loss that is not finite, say): recorded, never retried."""


def unknown(kind: str, value: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the value, the nearest known one, and what is allowed.

    Of a long list only the names nearest to the value are told.
    """
    names = [str(name) for name in allowed]
    nearest = difflib.get_close_matches(value, names, n=8, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    if len(names) <= 16:
        return UserError(f"Unknown {kind} {value!r}.{hint} Known: {', '.join(names)}.")
    shown = nearest[1:] or names[:16]
    also = f" Near it: {', '.join(shown)}" if nearest[1:] else f" Known: {', '.join(shown)}"
    return UserError(f"Unknown {kind} {value!r}.{hint}{also} ({len(names)} in all).")


def unreadable(path: str | Path, error: OSError) -> GladRayError:
    """The error for a file or folder that the operating system does not let us read.

    A `DataError` if that stays so until somebody does something about the file, else an `UnavailableError`.
    """
    name, reason = printable(path), error.strerror or printable(str(error))
    if error.errno in _REMEDIES:
        return DataError(f"{name} cannot be read ({reason}): {_REMEDIES[error.errno]}.")
    return UnavailableError(
        f"{name} cannot be read at present ({reason}): see to its disk or network, then run the same command again."
    )


def is_of_system(error: Exception) -> TypeGuard[OSError]:
    """Whether the operating system did not let a file be read; False where a reader found its content wrong.

    EINVAL is the latter: it comes of mapping an empty file, or of places in a file that cannot be.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def is_lasting(error: OSError) -> bool:
    """Whether an error of reading or writing stays until somebody does something about it, or nothing tells."""
    return error.errno is None or error.errno in _LASTING


def printable(text: str | Path) -> str:
    r"""Text on one line that every stream and file can take: what is not UTF-8 and control characters are escaped.

    A file name whose byte 0xF6 is not UTF-8 is told as `M\xf6we`.
    """
    return "".join(_escaped(char) if unicodedata.category(char) in _UNPRINTABLE else char for char in str(text))


def is_text(text: str) -> bool:
    """Whether all of it is text that UTF-8 can hold: not so where a file name has bytes of another encoding."""
    return not any(unicodedata.category(char) == "Cs" for char in text)


def _escaped(char: str) -> str:
    # Python reads a byte b of a file name that is not UTF-8 as the surrogate 0xDC00 + b.
    return f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else ascii(char)[1:-1]


def error_line(error: BaseException) -> str:
    """An error of other code in one line: its type and the first line of its message, if that can be made."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
