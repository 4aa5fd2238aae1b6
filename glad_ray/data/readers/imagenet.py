"""Folders of images named after WordNet ids: ImageNet-1k as torchvision lays it out, fast.ai's archives, Tiny ImageNet.

Of a subset only its own classes' folders need be there.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from glad_ray.data.parts import Part, class_part
from glad_ray.data.readers.files import check_counts, damaged, file_bytes, find_folder
from glad_ray.data.readers.matlab import read_matlab
from glad_ray.errors import DataError
from glad_ray.spec import DatasetFacts, NamedDataset
from glad_ray.spec.datasets.folder import images_in
from glad_ray.spec.datasets.imagenet import IMAGENET_CLASSES

_DEVKIT = Path("ILSVRC2012_devkit_t12/data")

_Files = dict[str, Sequence[Path]]
"""By WordNet id."""


def find(facts: NamedDataset, root: Path | None = None) -> Path:
    """The folder with train/<wnid> of some class; raises `UserError` as `find_folder` does."""
    wnids = _wnids(facts)
    return find_folder(facts, lambda folder: any((folder / "train" / wnid).is_dir() for wnid in wnids), root)


def parts(folder: Path, facts: DatasetFacts) -> list[Part]:
    """The images of every class of a dataset in `folder`, training images first.

    Raises `DataError` if a class is missing or empty, or there are not as many images as there should be.
    """
    wnids = _wnids(facts)
    if facts.name == "tiny-imagenet":
        train = {wnid: images_in(folder / "train" / wnid / "images") for wnid in wnids}
        test = _annotated_validation(folder / "val", wnids)
    else:
        train = {wnid: images_in(folder / "train" / wnid) for wnid in wnids}
        test = _validation(folder, wnids)
    check_counts(folder, facts, {"train": sum(map(len, train.values())), "test": sum(map(len, test.values()))})
    return [
        class_part(split, label, files[wnid])
        for split, files in (("train", train), ("test", test))
        for label, wnid in enumerate(wnids)
    ]


def _wnids(facts: DatasetFacts) -> list[str]:
    return [IMAGENET_CLASSES[index].wnid for index in facts.imagenet_indices]


def _validation(folder: Path, wnids: Sequence[str]) -> _Files:
    if any((folder / "val" / wnid).is_dir() for wnid in wnids):
        return {wnid: images_in(folder / "val" / wnid) for wnid in wnids}
    files = images_in(folder / "val")
    if not (folder / _DEVKIT).is_dir():
        raise DataError(
            f'{folder / "val"} has no folders of classes: sort its images into val/<wnid> with `python -c "import '
            f"torchvision; torchvision.datasets.ImageNet('{folder}', 'val')\"`, which takes ILSVRC2012_img_val.tar and "
            f"ILSVRC2012_devkit_t12.tar.gz from there, or unpack that development kit at {folder / _DEVKIT.parent}."
        )
    found = defaultdict(list)
    for path, wnid in zip(files, _validation_wnids(folder / _DEVKIT, len(files)), strict=True):
        found[wnid].append(path)
    return {wnid: found[wnid] for wnid in wnids}


def _validation_wnids(devkit: Path, images: int) -> list[str]:
    """Of each validation image in the order of their names, from the development kit."""
    truth, meta = devkit / "ILSVRC2012_validation_ground_truth.txt", devkit / "meta.mat"
    (synsets,) = read_matlab(meta, ["synsets"], squeeze=True)
    try:
        wnid_of = dict(zip(map(int, synsets["ILSVRC2012_ID"]), map(str, synsets["WNID"]), strict=True))
    except (ValueError, IndexError, TypeError) as error:
        raise damaged(meta, "its synsets have no ILSVRC2012_ID and WNID") from error
    try:
        wnids = [wnid_of[int(line)] for line in file_bytes(truth).split()]
    except (ValueError, KeyError) as error:
        raise damaged(truth, f"it does not hold a class from 1 to {len(wnid_of)} per line") from error
    if len(wnids) != images:
        raise damaged(truth, f"it has {len(wnids)} lines and val has {images} images")
    return wnids


def _annotated_validation(folder: Path, wnids: Sequence[str]) -> _Files:
    """Tiny ImageNet's: one folder of images, and a table of their names and classes."""
    table = folder / "val_annotations.txt"
    found = defaultdict(list)
    for number, line in enumerate(file_bytes(table).decode(errors="replace").splitlines(), 1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in wnids or Path(name).name != name:
            raise damaged(table, f"line {number} does not name an image and one of the {len(wnids)} classes")
        found[wnid].append(folder / "images" / name)
    return {wnid: found[wnid] for wnid in wnids}
