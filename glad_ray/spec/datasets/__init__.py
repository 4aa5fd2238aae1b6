"""Facts about the datasets: what a plan needs to know before any image is decoded.

Those in `DATASETS` have names; a user's own are named by where they lie, `folder:PATH` or `hf:PATH`, and what they are
is read there.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from glad_ray.errors import UserError, is_text, printable, unknown, unreadable
from glad_ray.spec.datasets import folder, hugging_face
from glad_ray.spec.datasets.facts import DatasetFacts, NamedDataset
from glad_ray.spec.datasets.imagenet import IMAGENET
from glad_ray.spec.datasets.of_one_size import OF_ONE_SIZE

__all__ = ["DATASETS", "DatasetFacts", "NamedDataset", "dataset_facts"]

DATASETS: dict[str, NamedDataset] = {facts.name: facts for facts in (*OF_ONE_SIZE, *IMAGENET)}


class _Kind(NamedTuple):
    """A kind of datasets that lie at a path."""

    read: Callable[[str], DatasetFacts]
    state: Callable[[str], tuple[object, ...]]
    """changes whenever what `read` says may change"""


def _files_below(root: Path) -> Iterator[tuple[str, int, int, int]]:
    """The states of all files below a folder, hidden ones left out."""
    for folder_path, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            found = os.stat(os.path.join(folder_path, name), follow_symlinks=False)
            yield os.path.join(folder_path, name), found.st_ino, found.st_size, found.st_ctime_ns


def _hugging_face_state(name: str) -> tuple[object, ...]:
    root = hugging_face.hugging_face_root(name)
    try:
        return tuple(_files_below(root))
    except OSError as error:
        raise unreadable(error.filename or root, error) from error


_OWN = {
    folder.PREFIX: _Kind(folder.folder_facts, folder.folder_state),
    hugging_face.PREFIX: _Kind(hugging_face.hugging_face_facts, _hugging_face_state),
}
_KNOWN: dict[str, tuple[tuple[object, ...], DatasetFacts]] = {}
"""facts of the user's own datasets with the state that they were read in"""


def dataset_facts(name: str) -> DatasetFacts:
    """The facts of a dataset by name; the user's own are read again once files were added, removed or renamed.

    Raises `UserError` naming the nearest known one, or if a path is not UTF-8, `DataError` if what lies at a path is no
    dataset.
    """
    for prefix, kind in _OWN.items():
        if name.startswith(prefix):
            return _own_facts(name, kind)
    if name not in DATASETS:
        raise unknown("dataset", name, [*DATASETS, *(f"{prefix}PATH" for prefix in _OWN)])
    return DATASETS[name]


def _own_facts(name: str, kind: _Kind) -> DatasetFacts:
    if not is_text(name):
        raise UserError(
            f"The dataset {printable(name)} has bytes in its path that are not UTF-8, so that no record can hold it: "
            "rename the folder, or name a link to it."
        )
    state = kind.state(name)
    if name not in _KNOWN or _KNOWN[name][0] != state:
        _KNOWN[name] = (state, kind.read(name))
    return _KNOWN[name][1]
