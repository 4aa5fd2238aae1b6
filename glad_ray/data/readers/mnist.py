"""MNIST and its kin (LeCun et al., 1998; Xiao et al., 2017): four IDX files, as they are or gzipped."""

from pathlib import Path

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Part, stored_parts
from glad_ray.data.readers.files import damaged, find_folder
from glad_ray.data.readers.idx import read_idx
from glad_ray.errors import DataError
from glad_ray.spec import DatasetFacts, NamedDataset

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MEAN_TOLERANCE = 0.05


def find(facts: NamedDataset, root: Path | None = None) -> Path:
    """The folder with the IDX files; raises `UserError` as `find_folder` does."""

    def holds_it(folder: Path) -> bool:
        return any(_file(folder, name) for names in _FILES.values() for name in names)

    return find_folder(facts, holds_it, root)


def parts(folder: Path, facts: DatasetFacts) -> list[Part]:
    """The splits; raises `DataError` if a file is missing, and when it is read if it is wrong."""
    return stored_parts(folder, facts, {split: _files(folder, split, facts) for split in _FILES}, read_mnist)


def read_mnist(folder: Path, split: str, facts: DatasetFacts) -> Split:
    """A split in the order of its files; raises `DataError` naming the file that is wrong."""
    images_path, labels_path = _files(folder, split, facts)
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (facts.resolution, facts.resolution):
        sides = " x ".join(map(str, images.shape[1:]))
        raise damaged(images_path, f"its images are {sides} pixels, not {facts.resolution} x {facts.resolution}")
    if len(images) != len(labels):
        raise damaged(labels_path, f"it has {len(labels)} labels and {images_path.name} has {len(images)} images")
    if len(labels) and labels.max() >= facts.classes:
        raise damaged(labels_path, f"it has label {labels.max()}, and labels run from 0 to {facts.classes - 1}")
    # The files of all of them bear the same names: only the pixels tell.
    mean = images.mean() / 255 if len(images) else facts.mean[0]
    if abs(mean - facts.mean[0]) > _MEAN_TOLERANCE:
        raise DataError(
            f"The images in {images_path} have mean {mean:.3f} where {facts.title} has {facts.mean[0]:.3f}: "
            "name the folder of that dataset, not of another one whose files have the same names."
        )
    return Split(images[:, None], labels.astype("int64"))


def _files(folder: Path, split: str, facts: DatasetFacts) -> list[Path]:
    return [_existing(folder, name, facts) for name in _FILES[split]]


def _file(folder: Path, name: str) -> Path | None:
    """The file, unpacked rather than gzipped where both are there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _existing(folder: Path, name: str, facts: DatasetFacts) -> Path:
    path = _file(folder, name)
    if path is None:
        raise DataError(f"{folder} has no {name} or {name}.gz, one of the four files of {facts.title}: add it.")
    return path
