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


def to_parquet(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def read_table(storage: Storage, path: str, schema: pa.Schema) -> pa.Table:
    """A Parquet file on storage.

    The last columns of the schema may be missing if they are nullable, as they are in files written before there were
    such columns: they are filled with nulls. Raises `DataError` if the file is damaged or of another schema, `OSError`
    if storage cannot be read.
    """
    data = storage.read_bytes(path)
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        # They are small and read by the hundred, some beside one another: threads for each cost more than they save.
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise damaged(storage, path) from error
    for later in list(schema)[table.num_columns :]:
        if later.nullable:
            table = table.append_column(later, pa.nulls(table.num_rows, later.type))
    if not table.schema.equals(schema):
        raise DataError(
            f"{path} in {storage} has other columns than this version of glad_ray writes: delete it and run the "
            "sweep again, or read it with the version that wrote it."
        )
    return table


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
