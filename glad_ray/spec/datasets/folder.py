"""`folder:PATH`, a user's own images: PATH/train and PATH/test (or val), in each a folder per class, named after it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from glad_ray.errors import DataError, printable, unreadable
from glad_ray.paths import expanded
from glad_ray.spec.datasets.facts import DatasetFacts
from glad_ray.spec.datasets.pictures import LOOKED_AT, appearance_of, spread

PREFIX = "folder:"
_LAYOUT = "use train and test (or val) folders with one folder of images per class"
_TRAIN_FOLDER, _TEST_FOLDERS = "train", ("test", "val")
_NAMED_CLASSES = 5


def folder_facts(name: str) -> DatasetFacts:
    """Facts of `folder:PATH`, from its folders and the headers of some images, of every class and split at least one.

    A class whose folder's name is not UTF-8, or holds control characters, is named with those escaped. Raises
    `DataError` if there are no such folders, the splits have other classes, or a class has no images.
    """
    root = folder_root(name)
    splits = class_folders(root)
    images = {split: [images_in(folder) for folder in folders] for split, folders in splits.items()}
    of_classes = [files for split in images.values() for files in split]
    each = max(1, LOOKED_AT // len(of_classes))
    seen = appearance_of((path, printable(path)) for files in of_classes for path in spread(files, each))
    mean, std, statistics = seen.statistics
    return DatasetFacts(
        name=name,
        title=printable(root.resolve().name) or name,
        class_names=tuple(printable(folder.name) for folder in splits["train"]),
        channels=seen.channels,
        resolution=seen.resolution,
        many_sizes=seen.many_sizes,
        train_images=sum(map(len, images["train"])),
        test_images=sum(map(len, images["test"])),
        mean=mean,
        std=std,
        statistics=statistics,
    )


def folder_root(name: str) -> Path:
    """The PATH of `folder:PATH`."""
    return expanded(name.removeprefix(PREFIX))


def class_folders(root: Path) -> dict[str, tuple[Path, ...]]:
    """Per split, `train` and `test`, the folder of every class, in the alphabetical order of their names."""
    test = next((root / name for name in _TEST_FOLDERS if _is_folder(root / name)), None)
    if not _is_folder(root / _TRAIN_FOLDER) or test is None:
        raise DataError(f"{printable(root)} is no folder with images to train and to test on: {_LAYOUT}.")
    splits = {"train": _folders_in(root / _TRAIN_FOLDER), "test": _folders_in(test)}
    train_names, test_names = ({folder.name for folder in folders} for folders in splits.values())
    if train_names != test_names:
        odd = [printable(name) for name in sorted(train_names ^ test_names)]
        shown = ", ".join(odd[:_NAMED_CLASSES]) + (", ..." if len(odd) > _NAMED_CLASSES else "")
        raise DataError(
            f"{printable(root)} has classes in {test.name} or in train alone ({shown}): both need the same folders."
        )
    return splits


def images_in(folder: Path) -> tuple[Path, ...]:
    """The files of a class folder by name, hidden ones left out.

    Raises `DataError` if there is none, or something else than files.
    """
    if not _is_folder(folder):
        raise DataError(f"{printable(folder)} cannot be read (no such folder): put the images of its class there.")
    with _scanned(folder) as entries:
        names = {entry.name: entry.is_file() for entry in entries}
        if not all(names.values()):
            path = folder / min(name for name, is_file in names.items() if not is_file)
            kind = "a folder" if path.is_dir() else "a link to nothing, a device or a pipe"
            raise DataError(f"{printable(path)} is {kind} among the images of a class: move it elsewhere.")
    if not names:
        raise DataError(f"{printable(folder)} is empty: put the images of its class there, or leave the class out.")
    return tuple(folder / name for name in sorted(names))


def folder_state(name: str) -> tuple[object, ...]:
    """What changes whenever a folder or a file is added, removed or renamed in `folder:PATH`: the states of its
    folders. Raises `DataError` if there are none.
    """
    root = folder_root(name)
    splits = class_folders(root)
    folders = [folder for of_split in splits.values() for folder in of_split]
    with _reading(root):
        return tuple((str(path), found.st_ino, found.st_ctime_ns) for path in folders for found in (path.stat(),))


def _folders_in(folder: Path) -> tuple[Path, ...]:
    with _scanned(folder) as entries:
        found = sorted(folder / entry.name for entry in entries if entry.is_dir())
    if not found:
        raise DataError(f"{printable(folder)} has no class folders: {_LAYOUT}.")
    return tuple(found)


def _is_folder(path: Path) -> bool:
    with _reading(path):
        return path.is_dir()


@contextlib.contextmanager
def _scanned(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What lies in a folder, hidden entries left out."""
    with _reading(folder), os.scandir(folder) as entries:
        yield (entry for entry in entries if not entry.name.startswith("."))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(error.filename or path, error) from error
