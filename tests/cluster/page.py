"""A section of the page: sentences, and commands with what they printed."""

import re
from collections.abc import Iterable

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What the launcher says of its own files and connections, and of what else one may do.
_NOISE = re.compile(
    r"ClusterState|Shared connection|cached provider|with the cloud provider|Fetched IP|known hosts|^\(raylet\)|^$|"
    r"File Mount:|To ensure this mount|^-+$|^Useful commands|^To |^  ray |Next steps|load average|hash=| from /"
)
_SHOWN_LINES = 24


class Section:
    """What a module of tests saw, in Markdown."""

    def __init__(self, title: str) -> None:
        self._parts = [f"## {title}\n"]

    def __call__(self, text: str) -> None:
        """Write a paragraph."""
        self._parts.append(f"{text}\n")

    def ran(self, typed: str, seconds: float, output: Iterable[str]) -> None:
        """Write a command as it was typed, and what it printed, without what is Ray's own and the middle of much."""
        lines = [line for line in map(plain, output) if not _NOISE.search(line)]
        if len(lines) > _SHOWN_LINES:
            half = _SHOWN_LINES // 2
            lines = [*lines[:half], f"... {len(lines) - 2 * half} lines", *lines[-half:]]
        text = "\n".join([f"$ {typed}", *lines, f"[{seconds:.0f} s]"])
        self._parts.append(f"```console\n{text}\n```\n")

    def __str__(self) -> str:
        """The whole of it."""
        return "\n".join(self._parts)


def plain(line: str) -> str:
    """A line as it stands on a terminal without colours, once all of it is drawn."""
    return _COLOURS.sub("", line).rstrip().rpartition("\r")[2]
