"""SVHN, digits on house numbers (Netzer et al., 2011): the cropped ones, two MATLAB files of version 5."""

from pathlib import Path

import numpy as np

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Part, stored_parts
from glad_ray.data.readers.files import check_counts, damaged, find_folder
from glad_ray.data.readers.matlab import read_matlab
from glad_ray.spec import DatasetFacts, NamedDataset

_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
_LABEL_OF_ZERO = 10


def find(facts: NamedDataset, root: Path | None = None) -> Path:
    """The folder with the two files; raises `UserError` as `find_folder` does."""
    return find_folder(facts, lambda folder: any((folder / name).is_file() for name in _FILES.values()), root)


def parts(folder: Path, facts: DatasetFacts) -> list[Part]:
    """The splits; raises `DataError` if a file is missing, and when it is read if it is wrong."""
    return stored_parts(folder, facts, {split: (folder / name,) for split, name in _FILES.items()}, read_svhn)


def read_svhn(folder: Path, split: str, facts: DatasetFacts) -> Split:
    """A split in the order of its file; raises `DataError` naming the file if it is wrong."""
    path = folder / _FILES[split]
    images, labels = read_matlab(path, ["X", "y"])
    labels = labels.ravel()
    side = facts.resolution
    if images.dtype != np.uint8 or images.shape[:-1] != (side, side, facts.channels) or images.shape[-1] != len(labels):
        raise damaged(path, f"its arrays X and y are not {side} x {side} x {facts.channels} x n bytes and n labels")
    if len(labels) and not (labels.min() >= 1 and labels.max() <= _LABEL_OF_ZERO):
        odd = labels[(labels < 1) | (labels > _LABEL_OF_ZERO)][0]
        raise damaged(path, f"it has label {odd}, and labels run from 1 to {_LABEL_OF_ZERO}, which is the digit 0")
    check_counts(folder, facts, {split: len(labels)})
    return Split(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels.astype(np.int64) % _LABEL_OF_ZERO)
