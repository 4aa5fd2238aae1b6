"""What lies in a folder of a dataset of Hugging Face: its data files, and the files that mark a saved dataset."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.files import SUFFIXES

SAVED_DICT = "dataset_dict.json"
"""Marks the folder of a saved `DatasetDict`, and lists its splits."""
SAVED_DATASET = "state.json"
"""Marks the folder of a saved `Dataset`, and lists its data files."""
_MOST_FOLDERS = 10_000


@dataclass(frozen=True)
class Tree:
    """The files of a folder, with full paths, sorted."""

    root: Path
    data: tuple[Path, ...]
    """Parquet and Arrow files, but for the caches of `map`"""
    saved_dicts: tuple[Path, ...]
    """folders of a saved `DatasetDict`"""
    saved_datasets: tuple[Path, ...]
    """folders of a saved `Dataset`, a split of a `DatasetDict` among them"""


def read_tree(root: Path) -> Tree:
    """All of a folder and those below it, links followed, without what is hidden or begins with `__`.

    Raises `DataError` if there are too many of them, `OSError` if one cannot be read.
    """
    found = sorted(_walk(root))
    return Tree(
        root=root,
        data=tuple(path for path in found if path.suffix.lower() in SUFFIXES),
        saved_dicts=tuple(path.parent for path in found if path.name == SAVED_DICT),
        saved_datasets=tuple(path.parent for path in found if path.name == SAVED_DATASET),
    )


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones."""
    return [path for path in _entries(folder) if path.is_dir()]


def _walk(root: Path) -> Iterator[Path]:
    # A folder is left out where it is linked to from below itself: its files are there already.
    to_visit, visited = [(root, frozenset[tuple[int, int]]())], 0
    while to_visit:
        folder, above = to_visit.pop()
        status = folder.stat()
        key = status.st_dev, status.st_ino
        if key in above:
            continue
        visited += 1
        if visited > _MOST_FOLDERS:
            raise DataError(
                f"{root} has more than {_MOST_FOLDERS:,} folders, by links perhaps: name the folder of one dataset."
            )
        for path in _entries(folder):
            if path.is_dir():
                to_visit.append((path, above | {key}))
            elif path.name in (SAVED_DICT, SAVED_DATASET) or _is_data(path):
                yield path


def _entries(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith((".", "__")))
    return [folder / name for name in names]


def _is_data(path: Path) -> bool:
    # The library calls every file of this name a cache, and removes it in `cleanup_cache_files`.
    cache = path.name.startswith("cache-") and path.name.endswith(".arrow")
    return path.suffix.lower() in SUFFIXES and not cache
