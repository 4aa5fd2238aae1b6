"""The error tree: what a user can mend, and what a run did wrong.

Everything a user can cause is a `UserError`; the command line prints its one sentence and exits with 2.
"""

import difflib
from collections.abc import Iterable


class GladRayError(Exception):
    """Base of every error raised on purpose by this package."""


class UserError(GladRayError):
    """Bad input: its message says what was wrong, what is allowed and how to mend it."""


class DataError(UserError):
    """A data file is missing, corrupt or of the wrong form; its message names the file."""


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


def error_line(error: BaseException) -> str:
    """An error of other code in one line: its type and the first line of its message, if that can be made."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
