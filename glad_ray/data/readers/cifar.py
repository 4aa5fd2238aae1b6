"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), of the python version, which torchvision downloads, or the binary one.

The python version is pickles of Python 2; they are read without executing anything that they say.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Part, stored_parts
from glad_ray.data.readers.files import check_counts, damaged, file_bytes, find_folder
from glad_ray.errors import DataError
from glad_ray.spec import DatasetFacts, NamedDataset
from glad_ray.stylegan.pickle_machine import unpickle
from glad_ray.stylegan.pickle_names import network_name
from glad_ray.stylegan.pickled_arrays import byte_array
from glad_ray.stylegan.refusal import RefusalError


class _Layout(NamedTuple):
    """How the files of one of them are named and laid out."""

    batches: dict[str, tuple[str, ...]]
    """by split, as the python version names them; the binary one adds .bin"""
    labels: str
    """their key in the pickles"""
    label_bytes: int
    """before each image of the binary version; the last is the label"""


_LAYOUTS = {
    "cifar10": _Layout(
        batches={"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
        labels="labels",
        label_bytes=1,
    ),
    "cifar100": _Layout(
        batches={"train": ("train",), "test": ("test",)},
        labels="fine_labels",
        label_bytes=2,
    ),
}


def find(facts: NamedDataset, root: Path | None = None) -> Path:
    """The folder with the batches; raises `UserError` as `find_folder` does."""

    def holds_it(folder: Path) -> bool:
        return any(_file(folder, name) for names in _LAYOUTS[facts.name].batches.values() for name in names)

    return find_folder(facts, holds_it, root)


def parts(folder: Path, facts: DatasetFacts) -> list[Part]:
    """The splits; raises `DataError` if a batch is missing, and when it is read if it is wrong."""
    splits = _LAYOUTS[facts.name].batches
    return stored_parts(folder, facts, {split: _files(folder, split, facts) for split in splits}, read_cifar)


def read_cifar(folder: Path, split: str, facts: DatasetFacts) -> Split:
    """A split in the order of its batches; raises `DataError` naming the file that is wrong."""
    batches = [_read_batch(path, facts) for path in _files(folder, split, facts)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    check_counts(folder, facts, {split: len(labels)})
    return Split(images, labels)


def _read_batch(path: Path, facts: DatasetFacts) -> Split:
    read = _read_binary if path.suffix == ".bin" else _read_pickle
    pixels, labels = read(path, facts, _LAYOUTS[facts.name])
    if len(labels) and not (labels.min() >= 0 and labels.max() < facts.classes):
        odd = labels[(labels < 0) | (labels >= facts.classes)][0]
        raise damaged(path, f"it has label {odd}, and labels run from 0 to {facts.classes - 1}")
    return Split(pixels.reshape(-1, facts.channels, facts.resolution, facts.resolution), labels)


def _read_binary(
    path: Path, facts: DatasetFacts, layout: _Layout
) -> tuple[UInt8[np.ndarray, "n chw"], Int64[np.ndarray, " n"]]:
    data = file_bytes(path)
    record = layout.label_bytes + _image_bytes(facts)
    if len(data) % record:
        raise damaged(path, f"its {len(data)} bytes are no whole number of images of {record} bytes with their labels")
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    return rows[:, layout.label_bytes :], rows[:, layout.label_bytes - 1].astype(np.int64)


def _read_pickle(
    path: Path, facts: DatasetFacts, layout: _Layout
) -> tuple[UInt8[np.ndarray, "n chw"], Int64[np.ndarray, " n"]]:
    try:
        batch, _ = unpickle(memoryview(file_bytes(path)), network_name, python2=True)
        pixels, labels = byte_array(batch["data"], "data"), _whole_numbers(batch[layout.labels])
    except (RefusalError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{path} is damaged, or no batch of {facts.title}'s python version: fetch it again.") from error
    if pixels.shape != (len(labels), _image_bytes(facts)):
        raise damaged(path, f"it has {len(labels)} labels and an array of {' x '.join(map(str, pixels.shape))} bytes")
    return pixels, labels


def _whole_numbers(value: Any) -> Int64[np.ndarray, " n"]:
    if type(value) is not list or any(type(item) is not int for item in value):
        raise TypeError("no list of labels")
    return np.array(value, dtype=np.int64)


def _image_bytes(facts: DatasetFacts) -> int:
    return facts.channels * facts.resolution**2


def _files(folder: Path, split: str, facts: DatasetFacts) -> list[Path]:
    return [_existing(folder, name, facts) for name in _LAYOUTS[facts.name].batches[split]]


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.bin") if path.is_file()), None)


def _existing(folder: Path, name: str, facts: DatasetFacts) -> Path:
    path = _file(folder, name)
    if path is None:
        raise DataError(f"{folder} has no {name} or {name}.bin, one of the batches of {facts.title}: fetch it again.")
    return path
