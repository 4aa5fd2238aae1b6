"""Files that are whole or absent: written aside, flushed to the disk and renamed."""

import contextlib
import itertools
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

ASIDE = ".partial"
_LEFTOVER = re.compile(rf"\.(.+\.)?[0-9a-f]{{32}}{re.escape(ASIDE)}")
# Older than this, a file written aside belongs to a dead writer, whatever machine it ran on.
_LEFTOVER_SECONDS = 24 * 3600


@contextlib.contextmanager
def replacing(target: Path, folder: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write that takes the place of another once it is whole; until then it lies in `folder`, of the same
    file system, or beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = (folder or target.parent) / f".{target.name}.{uuid.uuid4().hex}{ASIDE}"
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    # The rename itself outlives a power cut only once the folder is flushed; some systems cannot open a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path, subfolders: Iterable[str], now: float) -> None:
    """Delete what dead writers left right in a folder and anywhere in some of its folders: files of the names that
    `replacing` gives; `now` in seconds since 1970.
    """
    # Unlike `rglob`, this passes over folders that go meanwhile.
    walks = [next(os.walk(folder), None), *itertools.chain.from_iterable(os.walk(folder / name) for name in subfolders)]
    for path in (Path(root, name) for root, _, names in filter(None, walks) for name in names):
        with contextlib.suppress(OSError):
            if _LEFTOVER.fullmatch(path.name) and path.stat().st_mtime < now - _LEFTOVER_SECONDS:
                path.unlink()
