"""`folder:PATH`, a user's own images: PATH/train and PATH/test (or val), in each a folder per class, named after it."""

import os
from pathlib import Path

from glad_ray.errors import DataError
from glad_ray.paths import expanded
from glad_ray.spec.datasets.facts import DatasetFacts
from glad_ray.spec.datasets.pictures import look

PREFIX = "folder:"
_LAYOUT = "use train and test (or val) folders with one folder of images per class"
_TEST_FOLDERS = ("test", "val")
_NAMED_CLASSES = 5


def folder_facts(name: str) -> DatasetFacts:
    """Facts of `folder:PATH`, from its folders and the headers of one image per class.

    Raises `DataError` if there are no such folders, the splits have other classes, or a class has no images.
    """
    root = folder_root(name)
    splits = class_folders(root)
    images = {split: [images_in(folder) for folder in folders] for split, folders in splits.items()}
    seen = look((files[0], str(files[0])) for files in images["train"])
    mean, std, statistics = seen.statistics
    return DatasetFacts(
        name=name,
        title=root.resolve().name or name,
        class_names=tuple(folder.name for folder in splits["train"]),
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
    test = next((root / name for name in _TEST_FOLDERS if (root / name).is_dir()), None)
    if not (root / "train").is_dir() or test is None:
        raise DataError(f"{root} is no folder with images to train and to test on: {_LAYOUT}.")
    splits = {"train": _folders_in(root / "train"), "test": _folders_in(test)}
    train_names, test_names = ({folder.name for folder in folders} for folders in splits.values())
    if train_names != test_names:
        odd = sorted(train_names ^ test_names)
        shown = ", ".join(odd[:_NAMED_CLASSES]) + (", ..." if len(odd) > _NAMED_CLASSES else "")
        raise DataError(f"{root} has classes in {test.name} or in train alone ({shown}): both need the same folders.")
    return splits


def images_in(folder: Path) -> tuple[Path, ...]:
    """The files of a class folder by name, hidden ones left out; raises `DataError` if there is none."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): put the images of its class there.") from error
    if not names:
        raise DataError(f"{folder} is empty: put the images of its class there, or remove the class.")
    return tuple(folder / name for name in names)


def _folders_in(folder: Path) -> tuple[Path, ...]:
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise DataError(f"{folder} has no class folders: {_LAYOUT}.")
    return tuple(found)
