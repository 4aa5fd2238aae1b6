"""What has to be decoded, in parts: image files of one class, or the rows of a file of Hugging Face's."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from glad_ray.data.resize import fit_picture
from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face import HuggingFaceFiles, count_rows, image_bytes, record_batches
from glad_ray.spec.datasets.pictures import opened

_MODES = {1: "L", 3: "RGB"}


class Picture(NamedTuple):
    """One image file and the class it belongs to."""

    content: bytes | Path
    where: str
    """what to call it"""
    label: int

    def decode(self, channels: int, resolution: int, antialias: bool) -> UInt8[np.ndarray, "c r r"]:
        """Its pixels, in grey or colour, resized and cropped by `fit_picture`; raises `DataError`."""
        with opened(self.content, self.where) as image:
            pixels = np.asarray(image.convert(_MODES[channels]))
        return fit_picture(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1), resolution, antialias)


@dataclass(frozen=True)
class Part:
    """Images that are prepared as one."""

    split: str
    """train or test"""
    count: int
    stamp: str
    """tells it from any other and from a changed one, by the names, sizes and times of its files and its labels"""
    read: Callable[[], Iterator[Picture]]


def class_part(split: str, label: int, files: Sequence[Path]) -> Part:
    """The images of one class; raises `DataError` for what is no file."""

    def read() -> Iterator[Picture]:
        return (Picture(path, str(path), label) for path in files)

    return Part(split, len(files), json.dumps([split, label, *map(_file_stamp, files)]), read)


def hugging_face_part(split: str, path: Path, files: HuggingFaceFiles) -> Part:
    """The images of one file of a dataset of Hugging Face; reading it raises `DataError` for a label out of range."""

    def read() -> Iterator[Picture]:
        row = 0
        for batch in record_batches(path, [files.image, files.label]):
            for image, label in zip(batch[files.image], batch[files.label].to_pylist(), strict=True):
                where = f"row {row} of {path}"
                if label is None or not 0 <= label < len(files.class_names):
                    raise DataError(
                        f"The label in {where} is {label}: labels run from 0 to {len(files.class_names) - 1}; "
                        "leave out images without one."
                    )
                yield Picture(image_bytes(image, where), where, label)
                row += 1

    stamp = json.dumps([split, _file_stamp(path), files.image, files.label, files.class_names])
    return Part(split, count_rows(path), stamp, read)


def _file_stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): fetch it again, or remove it.") from error
    if not path.is_file():
        raise DataError(f"{path} is no image but a folder: move it elsewhere.")
    # Not the whole path: moved images stay what they are.
    return f"{path.parent.name}/{path.name}", found.st_size, found.st_mtime_ns
