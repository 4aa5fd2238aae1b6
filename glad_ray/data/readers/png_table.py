"""The bundled sample: a Parquet file of PNG images with columns image (the PNG), label, split (train or test) and
source_index.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Part, stored_parts
from glad_ray.data.readers.files import damaged, file_bytes
from glad_ray.errors import DataError
from glad_ray.spec import DatasetFacts

SAMPLE = Path(__file__).parents[1] / "fashion_mnist_sample" / "sample.parquet"
SCHEMA = pa.schema(
    [
        pa.field("image", pa.binary(), nullable=False, metadata={"meaning": "a PNG file"}),
        pa.field("label", pa.uint8(), nullable=False),
        pa.field("split", pa.string(), nullable=False, metadata={"meaning": "train or test"}),
        pa.field(
            "source_index", pa.int32(), nullable=False, metadata={"meaning": "index in the original split, from 0"}
        ),
    ]
)
_SPLITS = ("train", "test")
_MODES = {1: "L", 3: "RGB"}


def find(facts: DatasetFacts, root: Path | None = None) -> Path:
    """The file, which lies in the package."""
    return SAMPLE


def parts(path: Path, facts: DatasetFacts) -> list[Part]:
    """The splits in a table."""
    return stored_parts(path, facts, dict.fromkeys(_SPLITS, (path,)), read_png_table)


def read_png_table(path: Path, split: str, facts: DatasetFacts) -> Split:
    """A split in the order of the rows; raises `DataError` naming the file, and the row."""
    if not path.exists():
        raise DataError(f"{path} is missing: install the package again.")
    data = file_bytes(path)
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, f"it is no whole Parquet file ({str(error).splitlines()[0].rstrip('.')})") from error
    for field in SCHEMA:
        _check_column(path, table, field)
    labels = table["label"].to_numpy().astype("int64")
    splits = np.array(table["split"].to_pylist())
    _check_rows(path, labels < facts.classes, labels, f"label: labels run from 0 to {facts.classes - 1}")
    _check_rows(path, np.isin(splits, _SPLITS), splits, f"split: use {' or '.join(_SPLITS)}")
    (rows,) = np.nonzero(splits == split)
    images = np.empty((len(rows), facts.channels, facts.resolution, facts.resolution), np.uint8)
    for place, row in enumerate(rows):
        images[place] = _decode(path, int(row), table["image"][row].as_buffer(), facts)
    return Split(images, labels[rows])


def encode_png(image: UInt8[np.ndarray, "h w"]) -> bytes:
    """A greyscale image as a small PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _check_column(path: Path, table: pa.Table, field: pa.Field) -> None:
    if field.name not in table.column_names:
        raise damaged(path, f"it has no column {field.name!r}")
    column = table[field.name]
    if column.type != field.type:
        raise damaged(path, f"column {field.name!r} is {column.type}, not {field.type}")
    if column.null_count:
        raise damaged(path, f"column {field.name!r} has {column.null_count} empty values")


def _check_rows(path: Path, good: np.ndarray, values: np.ndarray, rule: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise damaged(path, f"row {row} has {values[row]} as its {rule}")


def _decode(path: Path, row: int, png: pa.Buffer, facts: DatasetFacts) -> UInt8[np.ndarray, "c h w"]:
    try:
        # The header is checked before the pixels are unpacked: it says how much memory they would take.
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.size != (facts.resolution, facts.resolution) or image.mode != _MODES[facts.channels]:
                width, height = image.size
                raise damaged(
                    path,
                    f"the image in row {row} is {width} x {height} pixels of mode {image.mode}, not "
                    f"{facts.resolution} x {facts.resolution} of mode {_MODES[facts.channels]}",
                )
            # Decoding alone passes over the checksums.
            image.verify()
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return np.asarray(image).reshape(facts.resolution, facts.resolution, -1).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise damaged(path, f"the image in row {row} is no whole PNG file ({error})") from error
