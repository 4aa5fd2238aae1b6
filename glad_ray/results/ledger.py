"""The ledger of a run: what its files do not tell by being there. When, where, how far, and what was written.

An entry is a small file of its own, replaced whole by whoever does what it tells of, after the files that it vouches
for. One that is missing or damaged is passed over: the files decide. `planned` is told by plan.json and `failed` by
failure.json; the entries are `started`, `checkpoint`, `distilled`, `evaluated` (a network each) and `finished` (an
evaluation each).
"""

import hashlib
import math
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pydantic import AwareDatetime, ConfigDict, Field

from glad_ray.errors import DataError, UserError
from glad_ray.spec.record import Record
from glad_ray.storage import Storage


class Written(Record):
    """What a file was when it was written."""

    bytes: int
    sha256: str


class Entry(Record):
    """Something that happened to a run."""

    # Another version may tell more.
    model_config = ConfigDict(extra="ignore")

    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    host: str = Field(default_factory=socket.gethostname)
    process: int = Field(default_factory=os.getpid)
    device: str | None = None
    step: int | None = None
    loss: float | None = None
    """at that step"""
    seconds: float | None = None
    """that it took, interruptions left out"""
    files: dict[str, Written] = Field(default_factory=dict)
    """by their paths on storage"""


def written_as(data: bytes) -> Written:
    """What a file with this content is."""
    return Written(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def evaluated(evaluation_id: str, network_key: str) -> str:
    """Name of the entry of a network that has all its trainings."""
    return f"evaluated-{evaluation_id}-{network_key}"


def completed(evaluation_id: str) -> str:
    """Name of the entry of an evaluation that has its rows."""
    return f"finished-{evaluation_id}"


def write_entry(
    storage: Storage,
    run_id: str,
    name: str,
    *,
    device: str | None = None,
    step: int | None = None,
    loss: float | None = None,
    seconds: float | None = None,
    files: Iterable[str] = (),
    known: Mapping[str, Written] = {},
) -> None:
    """Write an entry in place of an earlier one of its name; `files` are there, and are what they should be.

    Those of `known` are not read for it.
    """
    written = {path: known[path] if path in known else written_as(storage.read_bytes(path)) for path in files}
    entry = Entry(device=device, step=step, loss=loss, seconds=seconds, files=written)
    storage.write_bytes(storage.entry_path(run_id, name), entry.model_dump_json(indent=1).encode())


def read_entry(storage: Storage, run_id: str, name: str) -> Entry | None:
    """An entry of a run; None if there is none, or it is damaged."""
    try:
        return Entry.model_validate_json(storage.read_bytes(storage.entry_path(run_id, name)))
    except (UserError, ValueError):
        return None


def sound(entry: Entry | None, path: str, data: bytes) -> bool:
    """Whether the content of a file is what an entry says of it, if it says anything."""
    written = None if entry is None else entry.files.get(path)
    return written is None or written == written_as(data)


def damage(
    storage: Storage, run_id: str, name: str, *, missing: bool = True, read_at_most: float = math.inf
) -> str | None:
    """What is wrong with the files that an entry vouches for, in a few words; None: nothing that is known of.

    `missing`: a file that is gone counts too. `read_at_most`: of files with more bytes, the size alone is compared.
    """
    entry = read_entry(storage, run_id, name)
    for path, written in entry.files.items() if entry is not None else ():
        try:
            if written.bytes > read_at_most:
                whole = storage.size(path) == written.bytes
            else:
                whole = sound(entry, path, storage.read_bytes(path))
        except DataError:
            if missing:
                return f"{path} is missing"
            continue
        if not whole:
            return f"{path} is not what was written"
    return None
