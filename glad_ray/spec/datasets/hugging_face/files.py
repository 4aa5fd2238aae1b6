"""The Parquet and Arrow files of a dataset of Hugging Face: rows, images, and what is said when one cannot be read."""

import contextlib
import filecmp
import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.errors import DataError

SUFFIXES = (".parquet", ".arrow")
"""Of the files that are read, in lower case."""
_ROWS_AT_ONCE = 256
_FILE_FORMAT = b"ARROW1"
_LFS_POINTER = b"version https://git-lfs"
_END_BYTES = 1 << 16


def is_parquet(path: Path) -> bool:
    """Whether the name of a file says that it is Parquet; in any case of letters."""
    return path.suffix.lower() == ".parquet"


def read_schema(path: Path) -> pa.Schema:
    """The columns of a file and their metadata; raises `DataError`."""
    with _readable(path):
        if is_parquet(path):
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as source, _arrow_reader(path, source) as reader:
            return reader.schema


def count_rows(path: Path) -> int:
    """How many images a file has; raises `DataError`."""
    if is_parquet(path):
        with _readable(path):
            return int(pq.read_metadata(path).num_rows)
    return sum(batch.num_rows for batch in record_batches(path, None))


def record_batches(path: Path, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a file, some at a time; columns None: all. Raises `DataError` if it cannot be read."""
    with _readable(path):
        if is_parquet(path):
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(_ROWS_AT_ONCE, columns=columns)
        else:
            with pa.memory_map(str(path)) as source, _arrow_reader(path, source) as reader:
                for batch in _arrow_batches(reader):
                    yield batch if columns is None else batch.select(columns)


def image_bytes(value: pa.StructScalar, where: str) -> bytes:
    """The image file in a cell; raises `DataError` if it holds a path alone."""
    content = value["bytes"].as_py() if value.is_valid else None
    if content is None:
        raise DataError(f"{where} has no image, only its path at most: save the dataset with the images in it.")
    return bytes(content)


def read_text(path: Path) -> str:
    """The text of a file beside the data; raises `DataError`."""
    with _readable(path):
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not text in UTF-8: save it as such.") from error


def check_distinct(paths: Iterable[Path]) -> None:
    """Raise `DataError` if two of these files have the same content; few bytes are read unless two look alike."""
    for of_one_size in _alike(list(paths), lambda path: path.stat().st_size):
        for alike in _alike(of_one_size, _ends):
            for one, other in combinations(alike, 2):
                with _readable(other):
                    same = filecmp.cmp(one, other, shallow=False)
                if same:
                    raise DataError(
                        f"{one} and {other} have the same content, so their images would count twice: remove one, or "
                        "fetch the right file."
                    )


def _alike(paths: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    """Those groups of files that have a key in common."""
    groups: dict[Hashable, list[Path]] = {}
    for path in paths:
        with _readable(path):
            groups.setdefault(key(path), []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _ends(path: Path) -> str:
    """A digest of the first and the last bytes of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_END_BYTES))
        file.seek(max(0, os.fstat(file.fileno()).st_size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


def _arrow_reader(path: Path, source: pa.NativeFile) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    """Of a stream, as `save_to_disk` writes it, or of Arrow's file format."""
    with path.open("rb") as file:
        is_file = file.read(len(_FILE_FORMAT)) == _FILE_FORMAT
    return pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)


def _arrow_batches(reader: pa.RecordBatchStreamReader | pa.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


@contextlib.contextmanager
def accessible(what: object) -> Iterator[None]:
    """Raises an error of the operating system, of a path that is looked at within, as `DataError`."""
    try:
        yield
    except OSError as error:
        where = error.filename or what
        raise DataError(f"{where} cannot be read ({error.strerror}): fix that, or name another folder.") from error


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises what fails within as `DataError`: the file is missing, may not be read, or is damaged."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a regular file: remove it, or put the data there.")
        with path.open("rb") as file:
            pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
        if pointer:
            raise DataError(f"{path} is a pointer of Git LFS, not the data: run `git lfs pull` in its repository.")
        yield
    except FileNotFoundError as error:
        target = f"; it is a link to {os.readlink(path)}, which is not there" if path.is_symlink() else ""
        raise DataError(f"{path} is missing{target}: fetch it, or name another folder.") from error
    except (pa.ArrowException, OSError) as error:
        # Arrow raises damage as OSError, too, but without a number of the operating system.
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path} cannot be read ({error.strerror}): fix that, or name another folder.") from error
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path} is damaged ({reason}): fetch or save it again.") from error
