"""A section of the page: sentences, and commands with what they printed."""

import re
import textwrap
from collections.abc import Iterable

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What the launcher says of its own files and connections, and of what else one may do.
_NOISE = re.compile(
    r"^\d{4}-\d\d-\d\d |Shared connection|cached provider|with the cloud provider|Fetched IP|known hosts|^\s*$|"
    r"^\(raylet\)|^\s+\(\d\)|File Mount:|To ensure this mount|^-+$|^Useful commands|^ +To |^ +ray |Next steps|"
    r"load average|hash=| from /|job control|terminal process group|network_util\.cc"
)
_SHOWN_LINES = 24
_LINE = 150


class Section:
    """What a module of tests saw, in Markdown."""

    def __init__(self, title: str) -> None:
        self._parts = [f"## {title}\n"]

    def __call__(self, text: str) -> None:
        """Write a paragraph, and after an empty line perhaps a table."""
        paragraph, *table = text.split("\n\n")
        self._parts += [f"{part}\n" for part in (textwrap.fill(paragraph, 120), *table)]

    def ran(self, typed: str, seconds: float, output: Iterable[str]) -> None:
        """Write a command as it was typed, and what it printed, without what is Ray's own and the middle of much."""
        lines = [line for line in map(plain, output) if not _NOISE.search(line)]
        if len(lines) > _SHOWN_LINES:
            half = _SHOWN_LINES // 2
            lines = [*lines[:half], f"... {len(lines) - 2 * half} lines", *lines[-half:]]
        shown = [line if len(line) <= _LINE else f"{line[:_LINE]} ..." for line in lines]
        text = "\n".join([f"$ {typed}", *shown, f"[{seconds:.0f} s]"])
        self._parts.append(f"```console\n{text}\n```\n")

    def __str__(self) -> str:
        """The whole of it."""
        return "\n".join(self._parts)


def plain(line: str) -> str:
    """A line as it stands on a terminal without colours, once all of it is drawn."""
    return _COLOURS.sub("", line).rstrip().rpartition("\r")[2]
