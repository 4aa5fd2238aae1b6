"""Processes, by what the kernel says of them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def descendants(process: int) -> Iterator[int]:
    """Those that a process started, and those that they started; none of one that ends meanwhile."""
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{process}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    for child in children:
        yield child
        yield from descendants(child)
