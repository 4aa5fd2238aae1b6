"""What a dataset is prepared from, in parts: image files of one class, rows of one file, or a split whose pixels are
stored.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import UInt8

from glad_ray.data.dataset import Split
from glad_ray.data.decode import decode
from glad_ray.data.resize import fit, fit_picture
from glad_ray.errors import DataError, printable
from glad_ray.spec import DatasetFacts, NamedDataset
from glad_ray.spec.datasets.hugging_face import HuggingFaceFiles, count_rows, image_bytes, record_batches

ReadSplit = Callable[[Path, str, DatasetFacts], Split]
"""Reads a split whole, by place and name."""

_AT_ONCE = 256


class Reader(Protocol):
    """A module that finds and reads the files of some named datasets."""

    def find(self, facts: NamedDataset, root: Path | None = None) -> Path:
        """Where they lie; raises `UserError` as `find_folder` does."""

    def parts(self, place: Path, facts: NamedDataset) -> list["Part"]:
        """What a dataset is prepared from; raises `DataError`, also when a part is read."""


@dataclass(frozen=True)
class Form:
    """What images are made into."""

    channels: int
    resolution: int
    antialias: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        return self.channels, self.resolution, self.resolution


@dataclass(frozen=True)
class Part:
    """Images that are prepared as one, on whatever machine sees their files."""

    split: str
    """train or test"""
    count: int
    """how many images, for telling progress"""
    files: tuple[Path, ...]
    labels: str
    """what decides the labels, the files apart"""
    images: Callable[[Form, Executor], Iterator[Split]]
    """them all, some at a time; raises `DataError`"""


def class_part(split: str, label: int, files: Sequence[Path]) -> Part:
    """The images of one class."""
    # A machine of the cluster may have another working directory.
    paths = tuple(path.absolute() for path in files)

    def images(form: Form, executor: Executor) -> Iterator[Split]:
        return _decoded((_Picture(path, printable(path), label) for path in paths), form, executor)

    return Part(split, len(paths), paths, str(label), images)


def hugging_face_part(split: str, path: Path, files: HuggingFaceFiles) -> Part:
    """The images of one file of a dataset of Hugging Face; a label out of range is a `DataError`."""
    path = path.absolute()

    def pictures() -> Iterator[_Picture]:
        row = 0
        for batch in record_batches(path, [files.image, files.label]):
            for image, label in zip(batch[files.image], batch[files.label].to_pylist(), strict=True):
                where = f"row {row} of {path}"
                if label is None or not 0 <= label < len(files.class_names):
                    raise DataError(
                        f"The label in {where} is {label}: labels run from 0 to {len(files.class_names) - 1}; "
                        "leave out images without one."
                    )
                yield _Picture(image_bytes(image, where), where, label)
                row += 1

    return Part(
        split,
        count_rows(path),
        (path,),
        json.dumps([files.image, files.label, files.class_names]),
        lambda form, executor: _decoded(pictures(), form, executor),
    )


def stored_parts(place: Path, facts: DatasetFacts, files: Mapping[str, Sequence[Path]], read: ReadSplit) -> list[Part]:
    """The splits of a dataset at `place` whose files, given by split, hold pixels of one size."""
    counts = {"train": facts.train_images, "test": facts.test_images}
    place = place.absolute()

    def part(split: str) -> Part:
        def images(form: Form, executor: Executor) -> Iterator[Split]:
            stored = read(place, split, facts)
            for start in range(0, len(stored.labels), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                yield Split(fit(stored.images[some], form.resolution, form.antialias), stored.labels[some])

        return Part(split, counts[split], tuple(path.absolute() for path in files[split]), "stored", images)

    return [part(split) for split in files]


class _Picture(NamedTuple):
    """One image file and the class it belongs to."""

    content: bytes | Path
    where: str
    """what to call it"""
    label: int

    def decode(self, form: Form) -> UInt8[np.ndarray, "c r r"]:
        """Its pixels, in grey or colour, resized and cropped by `fit_picture`; raises `DataError`."""
        return fit_picture(decode(self.content, self.where, form.channels), form.resolution, form.antialias)


def _decoded(pictures: Iterator[_Picture], form: Form, executor: Executor) -> Iterator[Split]:
    # Some at a time: an executor would read all of them at once.
    while some := list(itertools.islice(pictures, _AT_ONCE)):
        images = np.stack(list(executor.map(lambda picture: picture.decode(form), some)))
        yield Split(images, np.array([picture.label for picture in some], np.int64))
