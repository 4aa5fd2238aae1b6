"""Where everything is kept: in a folder, or on any pyarrow filesystem (s3://, gs://).

A file is whole or absent. In a folder it is written aside, flushed to the disk and renamed; an object store makes an
object visible in one put. So a reader, or the same command run again after a crash, never meets half a file.
"""

import contextlib
import functools
import os
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from glad_ray.errors import DataError, UserError, is_text, printable
from glad_ray.paths import expanded
from glad_ray.storage_contents import check_ours
from glad_ray.storage_layout import StorageLayout
from glad_ray.whole_files import ASIDE, remove_leftovers, replacing

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
# Up to the last @, for a password may hold what should have been escaped.
_PASSWORD = re.compile(r"://[^/@?]*:[^?]*@")
_USER = re.compile(r"://[^/@]*@")
_CANNOT_REPLACE = ("hdfs", "viewfs")
_FOLDERS = ("runs", "results", "report", "experts", "search", "generators")
_LISTED_AGAIN = 100
_PIECE_BYTES = 32 * 2**20


@dataclass(frozen=True, repr=False)
class Storage(StorageLayout):
    """A folder or URI and the names of all files in it; cheap to pickle, opened on first use.

    Paths are relative to it, with forward slashes: `runs/<run_id>/run.json`. As text it is its place without the
    options and credentials that a URI may carry.
    """

    uri: str
    """an absolute local path, or a URI that pyarrow knows"""

    @classmethod
    def open(cls, where: str | Path, create: bool = True) -> "Storage":
        """The storage at a folder or URI, made and tried with a small write unless `create` is false.

        Raises `UserError` if the scheme is unknown, it cannot be written or holds files of others that would be written
        over, or (`create=False`) is not there.
        """
        text = str(where)
        if not is_text(text):
            raise UserError(
                f"{printable(text)} cannot be used for results, for its name is not UTF-8: name another folder or URI."
            )
        storage = cls(text if is_uri(text) else os.path.abspath(expanded(text)))
        folder = storage.local_path("")
        if folder is not None:
            storage = cls(str(folder))
        try:
            if create:
                check_ours(storage)
                probe = f".{uuid.uuid4().hex}{ASIDE}"
                storage.write_bytes(probe, b"")
                now = storage.modified(probe)
                storage.delete(probe)
            elif storage._info("").type != pafs.FileType.Directory:
                raise UserError(f"There is no folder {storage}: name one that a sweep wrote its results to.")
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{storage} cannot be used for results: {_reason(error)}; name a folder or URI you can write."
            ) from error
        if folder is not None and create and now is not None:
            remove_leftovers(folder, _FOLDERS, now)
        return storage

    def read_bytes(self, path: str) -> bytes:
        """The content of a file; raises `DataError` if it is not there."""
        try:
            with self._filesystem.open_input_file(self._full(path)) as file:
                data: bytes = file.read()
                return data
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing from {self}.") from error

    def open_file(self, path: str) -> pa.NativeFile:
        """A file for reading parts of it: mapped into memory if it is on this machine. Raises `OSError` if it cannot
        be opened, `FileNotFoundError` if it is not there.
        """
        local = self.local_path(path)
        return self._filesystem.open_input_file(self._full(path)) if local is None else pa.memory_map(str(local))

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, replacing one that is there; at any moment it is whole (the old or the new) or absent."""
        target = self.local_path(path)
        if target is not None:
            with replacing(target) as file:
                file.write(data)
            return
        with self._filesystem.open_output_stream(self._full(path)) as stream:
            stream.write(data)

    def upload(self, source: Path, path: str) -> None:
        """Copy a file of this machine, a piece of it in memory at a time, replacing one that is there."""
        target = self.local_path(path)
        with source.open("rb") as pieces:
            if target is not None:
                with replacing(target) as file:
                    shutil.copyfileobj(pieces, file, _PIECE_BYTES)
                return
            try:
                with self._filesystem.open_output_stream(self._full(path)) as stream:
                    while piece := pieces.read(_PIECE_BYTES):
                        stream.write(piece)
                        # Pieces are sent in the background, as many as were written.
                        stream.flush()
            except BaseException:
                # A stream that is left early is closed, and what it wrote is there.
                with contextlib.suppress(OSError):
                    self.delete(path)
                raise

    def download(self, path: str, target: Path) -> None:
        """Copy a file to this machine, a piece of it in memory at a time; `target` is whole or absent. Raises
        `DataError` if it is not there.
        """
        try:
            with self._filesystem.open_input_stream(self._full(path)) as pieces, replacing(target) as file:
                shutil.copyfileobj(pieces, file, _PIECE_BYTES)
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing from {self}.") from error

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        return bool(self._info(path).type != pafs.FileType.NotFound)

    def size(self, path: str) -> int:
        """Bytes of a file; raises `DataError` if it is not there."""
        info = self._info(path)
        if info.type != pafs.FileType.File:
            raise DataError(f"{path} is missing from {self}.")
        return int(info.size)

    def list(self, folder: str) -> tuple[str, ...]:
        """Paths of the files and folders right in a folder, sorted, without hidden ones; none if it is not there."""
        infos = self._listed(self._full(folder))
        names = sorted(info.base_name for info in infos if info.base_name and not info.base_name.startswith("."))
        return tuple(f"{folder}/{name}" if folder else name for name in names)

    def tree(self, folder: str) -> tuple[str, ...]:
        """Paths of all files below a folder, in no order, asked for at once; none if it is not there."""
        return tuple(self.times(folder))

    def times(self, folder: str) -> dict[str, float | None]:
        """When each file below a folder was written, by path, as `modified` tells it; asked for at once."""
        return {path: _written_at(info) for path, info in self._files(folder).items()}

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each file below a folder, by path; asked for at once."""
        return {path: int(info.size) for path, info in self._files(folder).items()}

    def _files(self, folder: str) -> dict[str, pafs.FileInfo]:
        infos = self._listed(self._full(folder), recursive=True)
        start = len(self._full("").rstrip("/")) + 1
        return {info.path[start:]: info for info in infos if info.type == pafs.FileType.File}

    def modified(self, path: str) -> float | None:
        """When a file was written, in seconds since 1970 by the clock of what keeps it: the same clock for all files of
        a storage, whatever machine wrote them. None: it is not there, or no time is known.
        """
        return _written_at(self._info(path))

    def delete(self, path: str) -> None:
        """Delete a file or a folder with all it holds; nothing happens if it is not there."""
        kind = self._info(path).type
        with contextlib.suppress(FileNotFoundError):
            if kind == pafs.FileType.Directory:
                self._delete_folder(self._full(path))
            elif kind != pafs.FileType.NotFound:
                self._filesystem.delete_file(self._full(path))

    def _delete_folder(self, full: str) -> None:
        if not isinstance(self._filesystem, pafs.LocalFileSystem):
            # One by one: stores with the interface of S3 do not agree on the request that deletes many.
            inside = self._listed(full, recursive=True)
            for info in sorted(inside, key=lambda info: info.path, reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    if info.type == pafs.FileType.Directory:
                        self._filesystem.delete_dir(info.path)
                    else:
                        self._filesystem.delete_file(info.path)
        self._filesystem.delete_dir(full)

    def local_path(self, path: str) -> Path | None:
        """Where a file lies on this machine, for memory-mapping; None on an object store."""
        return Path(self._full(path)) if isinstance(self._filesystem, pafs.LocalFileSystem) else None

    @functools.cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        if not is_uri(self.uri):
            return pafs.LocalFileSystem(), self.uri
        scheme = self.uri.partition(":")[0]
        if _PASSWORD.search(self.uri):
            raise UserError(
                f"{self} cannot be used with a password in it, which others would read: leave it out, and give it as "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of every machine."
            )
        if scheme in _CANNOT_REPLACE:
            raise UserError(
                f"{self} cannot be used: {scheme} does not write a file whole; use a folder, s3:// or gs://."
            )
        try:
            filesystem, base = pafs.FileSystem.from_uri(_of_s3(self.uri) if scheme == "s3" else self.uri)
        except (pa.ArrowException, ImportError, OSError) as error:
            raise UserError(f"{self} cannot be opened: {_reason(error)}; use a folder, s3:// or gs://.") from error
        return filesystem, base

    @property
    def _filesystem(self) -> pafs.FileSystem:
        return self._opened[0]

    def _full(self, path: str) -> str:
        base = self._opened[1].rstrip("/")
        return f"{base}/{path}" if path else base or "/"

    def _listed(self, full: str, *, recursive: bool = False) -> Sequence[pafs.FileInfo]:
        """What is in a folder; nothing if it is not there."""
        selector = pafs.FileSelector(full, recursive=recursive, allow_not_found=True)
        found: Sequence[pafs.FileInfo]
        for _ in range(_LISTED_AGAIN):
            # A folder that goes between two looks of pyarrow's is an error to it; at the next call it is not there.
            with contextlib.suppress(FileNotFoundError):
                found = self._filesystem.get_file_info(selector)
                return found
        found = self._filesystem.get_file_info(selector)
        return found

    def _info(self, path: str) -> pafs.FileInfo:
        return self._filesystem.get_file_info(self._full(path))

    def __str__(self) -> str:
        if not is_uri(self.uri):
            return self.uri
        return _USER.sub("://", _PASSWORD.sub("://", self.uri).partition("?")[0])

    def __repr__(self) -> str:
        return f"Storage({str(self)!r})"

    def __reduce__(self) -> tuple[Callable[[str], "Storage"], tuple[str]]:
        return Storage, (self.uri,)


def is_uri(text: str) -> bool:
    """Whether it is a URI and no folder."""
    # One letter and a colon is a drive.
    return _SCHEME.match(text) is not None


def _of_s3(uri: str) -> str:
    """The same, opened so that every store with this interface takes what is written."""
    # Many but Amazon's own do not know the checksums that are sent otherwise; the ledger has some of what matters.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    if "allow_delayed_open" in uri:
        return uri
    # Without it, pyarrow makes a multipart upload (three requests) of the smallest file.
    return f"{uri}{'&' if '?' in uri else '?'}allow_delayed_open=true"


def _written_at(info: pafs.FileInfo) -> float | None:
    return None if info.mtime_ns is None else info.mtime_ns / 1e9


def _reason(error: Exception) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is in the way"
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
