"""What tells the files of one dataset from those of another: their content.

Of datasets of no more than `WHOLE_BYTES` all of it is read, and a copy in another place is the same dataset. Of larger
ones each file counts by its size, its time and blocks of 4 KiB: one at the start of every 64 KiB, and the last of the
file; formats of pictures that may be uncompressed are read whole there, too.

What was hashed once is kept beside the prepared images, by the paths, devices, inodes, sizes and times (of content and
of status) of all files. The operating system sets the time of status on every change, and no program can set it back.
"""

import contextlib
import hashlib
import io
import json
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from glad_ray.data.parts import Part
from glad_ray.errors import DataError, printable, unreadable

WHOLE_BYTES = 512 * 2**20
_BLOCK_BYTES, _DISTANCE_BYTES, _READ_BYTES = 2**12, 2**16, 2**20
_MAYBE_UNCOMPRESSED = (b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
"""how files of BMP, TIFF and PPM begin"""
_AT_ONCE = 256
_THREADS = min(32, 4 * (os.cpu_count() or 1))
_SETTLED_SECONDS = 10.0
"""A file that changed less long ago may change again without a new time, as clocks of file systems are coarse."""
_DIGITS = 32
_T = TypeVar("_T")
_Found = TypeVar("_Found")


class _State(NamedTuple):
    """What the operating system says of a file."""

    path: str
    device: int
    inode: int
    size: int
    changed_ns: int
    status_changed_ns: int


def stamps(parts: Sequence[Part], cache: Path) -> list[str]:
    """Tell each part from any other and from a changed one, by the content of its files.

    `cache` is the folder where hashes are kept. Raises `DataError` for what is no file or may not be read,
    `UnavailableError` for what cannot be read at present.
    """
    files = [path for part in parts for path in part.files]
    with ThreadPoolExecutor(_THREADS) as executor:
        states = _each(executor, _state, files)
        kept = cache / f".{_digest(json.dumps(states))}.hashes"
        hashes = _kept_hashes(kept, len(files))
        if hashes is None:
            hash_of = _whole if sum(state.size for state in states) <= WHOLE_BYTES else _sampled
            hashes = _each(executor, hash_of, states)
            _keep(kept, hashes, states)
    own = iter(hashes)
    return [json.dumps([part.split, part.labels, *(next(own) for _ in part.files)]) for part in parts]


def _each(executor: Executor, compute: Callable[[_T], _Found], items: Sequence[_T]) -> list[_Found]:
    chunks = [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]
    return [found for of_chunk in executor.map(lambda chunk: list(map(compute, chunk)), chunks) for found in of_chunk]


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise DataError(f"{printable(path)} is no file but {kind}: move it elsewhere.")
    return _State(str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _whole(state: _State) -> str:
    with _reading(state) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _sampled(state: _State) -> str:
    """Of its size, its time and blocks of it, or of all of it if it may be an uncompressed picture."""
    digest = hashlib.sha256(f"{state.size} {state.changed_ns}".encode())
    with _reading(state) as file:
        head = file.read(_BLOCK_BYTES)
        digest.update(head)
        if head.startswith(_MAYBE_UNCOMPRESSED):
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
        else:
            for start in (*range(_DISTANCE_BYTES, state.size, _DISTANCE_BYTES), max(0, state.size - _BLOCK_BYTES)):
                file.seek(start)
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()[:_DIGITS]


@contextlib.contextmanager
def _reading(state: _State) -> Iterator[io.FileIO]:
    try:
        with open(state.path, "rb", buffering=0) as file:
            yield file
    except OSError as error:
        raise unreadable(state.path, error) from error


def _kept_hashes(path: Path, count: int) -> list[str] | None:
    """The hashes of so many files; None if none are kept, or something else is."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and len(found) == count else None


def _keep(path: Path, hashes: Sequence[str], states: Sequence[_State]) -> None:
    """Keep them for the next time; without a place to keep them, they are computed anew then."""
    newest_ns = max((max(state.changed_ns, state.status_changed_ns) for state in states), default=0)
    if newest_ns > time.time_ns() - _SETTLED_SECONDS * 1e9:
        return
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(hashes))
        aside.replace(path)
        return
    with contextlib.suppress(OSError):
        aside.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
