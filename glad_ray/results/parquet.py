"""Tables as files: whole Parquet files of one known schema, and one sentence for a damaged file."""

import io
from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.errors import DataError, GladRayError, printable
from glad_ray.storage import Storage

Tell = Callable[[str], None]
"""Is told in a sentence what is wrong with a file that is passed over."""
_T = TypeVar("_T")


FORMAT = 1
"""the version of all tables; it grows where columns that there are come to mean something else. Columns that are added
are nullable, and need no new one"""
_FORMAT_KEY = b"glad_ray.format"


def to_parquet(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file, which says its format."""
    buffer = io.BytesIO()
    said = {**(table.schema.metadata or {}), _FORMAT_KEY: str(FORMAT).encode()}
    pq.write_table(table.replace_schema_metadata(said), buffer, write_page_checksum=True)
    return buffer.getvalue()


def read_table(storage: Storage, path: str, schema: pa.Schema, more: str | None = None) -> pa.Table:
    """A Parquet file on storage.

    The last columns of the schema may be missing if they are nullable, as they are in files written before there were
    such columns: they are filled with nulls. Columns whose names begin with `more` stay, after those of the schema;
    others that the schema has not, which a later version added, are left out. Raises `DataError` if the file is
    damaged, of another schema or of a later format, `OSError` if storage cannot be read.
    """
    data = storage.read_bytes(path)
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        # They are small and read by the hundred, some beside one another: threads for each cost more than they save.
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(storage, path) from error
    written = (table.schema.metadata or {}).get(_FORMAT_KEY, b"0")
    if not written.isdigit() or int(written) > FORMAT:
        told = printable(written.decode(errors="replace"))
        raise DataError(
            f"{path} in {storage} was written by a later version of glad_ray (format {told}, and this version reads up "
            f"to {FORMAT}): read it with that version."
        )
    there = table.schema.names
    later = [field for field in schema if field.name not in there]
    # What a version adds stands last, and is nullable.
    if later != list(schema)[len(schema) - len(later) :] or not all(field.nullable for field in later):
        raise _other_columns(storage, path)
    for field in later:
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    others = [] if more is None else [name for name in there if name.startswith(more)]
    table = table.select([*schema.names, *others]).replace_schema_metadata()
    if not pa.schema([table.schema.field(name) for name in schema.names]).equals(schema):
        raise _other_columns(storage, path)
    return table


def _other_columns(storage: Storage, path: str) -> DataError:
    return DataError(
        f"{path} in {storage} has other columns than this version of glad_ray writes: delete it and run the "
        "sweep again, or read it with the version that wrote it."
    )


def read_or_tell(read: Callable[[], _T], tell: Tell | None) -> _T | None:
    """What `read` gives; None where it fails, of which `tell` is told. Without `tell` the error is raised."""
    try:
        return read()
    except (GladRayError, OSError, ValueError) as error:
        if tell is None:
            raise
        tell(printable(str(error)))
        return None


def damaged(storage: Storage, path: str) -> DataError:
    """The error for a file that cannot be read."""
    return DataError(f"{path} in {storage} is damaged: delete it and run the sweep again.")
