"""`hf:PATH`, a dataset of Hugging Face on the disk: a folder of Parquet files as the hub has them, or one saved by
`save_to_disk`, which are Arrow streams.

Both say in the metadata of their schema which columns are images (a struct of bytes and path) and which are labels,
with the names of the classes, so that pyarrow alone reads them. The name of a file, or of a folder above it, tells its
split.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.errors import DataError
from glad_ray.paths import expanded
from glad_ray.spec.datasets.facts import DatasetFacts
from glad_ray.spec.datasets.pictures import look

PREFIX = "hf:"
_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "fine_label")
_SPLITS = {"train": "train", "test": "test", "validation": "val", "valid": "val", "val": "val"}
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class HuggingFaceFiles:
    """Where the images and labels of a dataset are."""

    splits: Mapping[str, tuple[Path, ...]]
    """`train` and `test`, each with its files in order"""
    image: str
    """name of the column of images"""
    label: str
    class_names: tuple[str, ...]


def hugging_face_facts(name: str) -> DatasetFacts:
    """Facts of `hf:PATH`, from its schema, its numbers of rows and the header of its first image.

    Raises `DataError` if there is no such dataset, or its schema tells no images or classes.
    """
    root = hugging_face_root(name)
    files = hugging_face_files(root)
    seen = look([_first_image(files)])
    mean, std, statistics = seen.statistics
    return DatasetFacts(
        name=name,
        title=root.resolve().name or name,
        class_names=files.class_names,
        channels=seen.channels,
        resolution=seen.resolution,
        many_sizes=seen.many_sizes,
        train_images=sum(map(count_rows, files.splits["train"])),
        test_images=sum(map(count_rows, files.splits["test"])),
        mean=mean,
        std=std,
        statistics=statistics,
    )


def hugging_face_root(name: str) -> Path:
    """The PATH of `hf:PATH`."""
    return expanded(name.removeprefix(PREFIX))


def hugging_face_files(root: Path) -> HuggingFaceFiles:
    """The files of a dataset, checked to be of one kind; raises `DataError`."""
    found: dict[str, list[Path]] = {"train": [], "test": [], "val": []}
    for path in sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".arrow")):
        split = _split_of(path.relative_to(root))
        if split is not None:
            found[split].append(path)
    splits = {"train": tuple(found["train"]), "test": tuple(found["test"] or found["val"])}
    for split, paths in splits.items():
        if not paths:
            raise DataError(
                f"{root} has no .parquet or .arrow files of a {split} split: name a folder that has them, with train "
                "and test (or validation) in their names or those of their folders."
            )
    columns = {_columns(path) for paths in splits.values() for path in paths}
    if len(columns) > 1:
        raise DataError(f"{root} holds files with different columns or classes: keep those of one dataset there.")
    image, label, class_names = columns.pop()
    return HuggingFaceFiles(splits=splits, image=image, label=label, class_names=class_names)


def count_rows(path: Path) -> int:
    """How many images a file has."""
    if path.suffix == ".parquet":
        with _readable(path):
            return int(pq.read_metadata(path).num_rows)
    return sum(batch.num_rows for batch in record_batches(path, None))


def record_batches(path: Path, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a file, some at a time; columns None: all. Raises `DataError` if it is damaged."""
    with _readable(path):
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(_ROWS_AT_ONCE, columns=columns)
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    yield batch if columns is None else batch.select(columns)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path} is damaged ({reason}): fetch or save it again.") from error


def _split_of(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", str(path).lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def _columns(path: Path) -> tuple[str, str, tuple[str, ...]]:
    """Names of the columns of images and labels, and of the classes."""
    with _readable(path):
        schema = pq.read_schema(path) if path.suffix == ".parquet" else _stream_schema(path)
    features = _features(schema)
    image = next((name for name in _IMAGE_COLUMNS if _has_bytes(schema, name)), None)
    label = next((name for name in _LABEL_COLUMNS if _class_names(features.get(name))), None)
    if image is None or label is None:
        raise DataError(
            f"{path} has no column {' or '.join(_IMAGE_COLUMNS)} of images, or none called "
            f"{' or '.join(_LABEL_COLUMNS)} whose ClassLabel in the schema's metadata names the classes: save it again "
            "with both."
        )
    return image, label, _class_names(features[label])


def _stream_schema(path: Path) -> pa.Schema:
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        return reader.schema


def _features(schema: pa.Schema) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _has_bytes(schema: pa.Schema, name: str) -> bool:
    index = schema.get_field_index(name)
    kind = schema.field(index).type if index >= 0 else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _class_names(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _first_image(files: HuggingFaceFiles) -> tuple[bytes, str]:
    for path in files.splits["train"]:
        for batch in record_batches(path, [files.image]):
            for value in batch.column(0):
                return image_bytes(value, f"row 0 of {path}"), f"row 0 of {path}"
    raise DataError(f"{files.splits['train'][0].parent} has no training images: fetch its files again.")


def image_bytes(value: pa.StructScalar, where: str) -> bytes:
    """The image file in a cell; raises `DataError` if it holds a path alone."""
    content = value["bytes"].as_py() if value.is_valid else None
    if content is None:
        raise DataError(f"{where} has no image, only its path at most: save the dataset with the images in it.")
    return bytes(content)
