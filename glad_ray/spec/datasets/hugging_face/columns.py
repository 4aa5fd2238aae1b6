"""Which column of a dataset holds the images and which the labels, by the library's features.

They lie in the metadata of a file's schema, or in the card of the dataset.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.card import Declared
from glad_ray.spec.datasets.hugging_face.files import read_schema

_IMAGE_NAMES = ("image", "img")
"""Columns that are images also where no feature says so."""
_COARSER = "coarse_label"
"""Groups of classes, as CIFAR-100 has them beside its classes."""


class Columns(NamedTuple):
    """The columns that are read, and the classes."""

    image: str
    label: str
    class_names: tuple[str, ...]


def find_columns(path: Path, declared: Declared | None) -> Columns:
    """The columns of a file; raises `DataError` unless there is one of images and one of labels."""
    schema = read_schema(path)
    said = dict(declared.features) if declared else {}
    own = {name: each for name, each in _features(schema).items() if _type(each) in ("Image", "ClassLabel")}
    features = said | own
    images = [name for name in schema.names if _type(features.get(name)) == "Image" and _has_bytes(schema, name)]
    images = images or [name for name in _IMAGE_NAMES if _has_bytes(schema, name)]
    labels = [name for name in schema.names if class_names(features.get(name)) and _is_integer(schema, name)]
    if len(labels) > 1:
        labels = [name for name in labels if name != _COARSER]
    _check_one(path, images, "images", "an Image column that holds the bytes of the files")
    _check_one(path, labels, "labels", "a ClassLabel column of integers that names the classes")
    names = class_names(features[labels[0]])
    if declared and class_names(said.get(labels[0])) not in ((), names):
        raise DataError(
            f"{declared.source} and {path} name other classes of {labels[0]}: correct the one that is wrong."
        )
    return Columns(images[0], labels[0], names)


def class_names(feature: Any) -> tuple[str, ...]:
    """The classes that a feature names; none if it is no `ClassLabel`."""
    names = feature.get("names") if _type(feature) == "ClassLabel" else None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _check_one(path: Path, names: list[str], what: str, needed: str) -> None:
    if not names:
        raise DataError(
            f"{path} has no column of {what}, by the features in its schema's metadata or in README.md: save it again "
            f"with {needed}."
        )
    if len(names) > 1:
        raise DataError(
            f"{path} has several columns of {what} ({', '.join(names)}): save the dataset with one of them, as "
            f"dataset.remove_columns([...]) does."
        )


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _type(feature: Any) -> Any:
    return feature.get("_type") if isinstance(feature, dict) else None


def _has_bytes(schema: pa.Schema, name: str) -> bool:
    index = schema.get_field_index(name)
    kind = schema.field(index).type if index >= 0 else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _is_integer(schema: pa.Schema, name: str) -> bool:
    index = schema.get_field_index(name)
    return index >= 0 and bool(pa.types.is_integer(schema.field(index).type))
