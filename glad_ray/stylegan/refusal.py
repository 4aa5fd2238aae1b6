"""How a generator file is refused: one sentence, with nothing of the file in it but a few printable characters."""

from glad_ray.errors import GladRayError

_SHOWN_CHARACTERS = 60


class RefusalError(GladRayError):
    """Why a generator file is not read: a predicate ("names os.system, ..."), whose subject is the file."""


def damaged(position: int) -> RefusalError:
    """For a file that breaks off, or makes no sense, at a byte."""
    return RefusalError(f"is damaged or cut short (at byte {position:,}): fetch or make it again")


def shown(text: str) -> str:
    """Text of unknown origin, on one line, in ASCII and not long."""
    escaped = ascii(text[: _SHOWN_CHARACTERS + 1])[1:-1]
    return escaped if len(escaped) <= _SHOWN_CHARACTERS else escaped[:_SHOWN_CHARACTERS] + "..."
