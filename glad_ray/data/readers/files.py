"""Where the files of a dataset lie, and what is said when they are missing or not what they should be.

A folder that is named, by the caller or in GLAD_RAY_DATA, is the only one looked in; else torchvision's customary
`data` and Debian's packages are.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from glad_ray.errors import DataError, UserError, printable, unreadable
from glad_ray.paths import expanded
from glad_ray.spec import DatasetFacts, NamedDataset

ENVIRONMENT_VARIABLE = "GLAD_RAY_DATA"
DEFAULT_ROOTS = (Path("data"), Path("/usr/share/datasets"))


def find_folder(facts: NamedDataset, holds_it: Callable[[Path], bool], root: Path | None = None) -> Path:
    """The first of its folders that holds the dataset, under `root`, else $GLAD_RAY_DATA, else the usual places.

    Raises `UserError` that says where it looked and how to get the dataset.
    """
    named = root or os.environ.get(ENVIRONMENT_VARIABLE)
    roots = (expanded(named),) if named else DEFAULT_ROOTS
    places = [place / folder for place in roots for folder in facts.folders]
    for place in places:
        try:
            if holds_it(place):
                return place
        except OSError as error:
            raise unreadable(error.filename or place, error) from error
    raise UserError(f"{facts.title} was not found (looked in {', '.join(map(printable, places))}): {facts.obtain}.")


def file_bytes(path: Path) -> bytes:
    """The content of a file; raises `DataError` if it cannot be read, `UnavailableError` if it cannot at present."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def damaged(path: Path, what: str) -> DataError:
    """The error for a file that is not what it should be."""
    return DataError(f"{printable(path)} is damaged: {what}; fetch it again.")


def check_counts(folder: Path, facts: DatasetFacts, found: Mapping[str, int]) -> None:
    """Raise `DataError` unless the splits found, `train` or `test`, have as many images as the dataset has."""
    expected = {"train": facts.train_images if facts.train_images_exact else None, "test": facts.test_images}
    for split, number in found.items():
        count = expected[split]
        if count not in (None, number):
            raise DataError(
                f"{printable(folder)} has {number} {split} images and {facts.title} has {count}: fetch it again, or "
                "name the folder of that dataset."
            )
