"""Datasets by name, brought to a resolution and split; the one place that maps names to readers."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8

from glad_ray.data.dataset import Dataset, Split
from glad_ray.data.fashion_mnist import find_fashion_mnist, read_fashion_mnist
from glad_ray.data.png_table import read_png_table
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DatasetFacts, dataset_facts

SAMPLE = Path(__file__).parent / "fashion_mnist_sample" / "sample.parquet"
PADDED_UP_TO = 32
"""Smaller images are padded, not resized, up to this side in pixels."""
_RESIZED_AT_ONCE = 512


def load_dataset(name: str, *, resolution: int, held_out: int = 0, root: Path | None = None) -> Dataset:
    """A dataset at `resolution` pixels a side (see `fit`), every split sorted by label.

    The last `held_out` training images of each class are kept apart. `root` is where to look for a dataset that is
    not bundled. Raises `UserError` if the name, resolution or held_out is impossible or nothing is found, `DataError`
    if a file is damaged.
    """
    facts = dataset_facts(name)
    if resolution < 1:
        raise UserError(f"resolution is {resolution}: use 1 pixel or more, {facts.resolution} for {name} as stored.")
    splits = _read(facts, root)
    train, test = (_by_class(splits[split], facts, split) for split in ("train", "test"))
    train, apart = _hold_out(train, held_out, facts)
    return Dataset(
        name=name,
        train_images=fit(train.images, resolution),
        train_labels=train.labels,
        held_out_images=fit(apart.images, resolution),
        held_out_labels=apart.labels,
        test_images=fit(test.images, resolution),
        test_labels=test.labels,
        class_names=facts.class_names,
        mean=facts.mean,
        std=facts.std,
    )


def _read(facts: DatasetFacts, root: Path | None) -> dict[str, Split]:
    match facts.name:
        case "fashion-mnist-sample":
            return read_png_table(SAMPLE, facts)
        case "fashion-mnist":
            return read_fashion_mnist(find_fashion_mnist(root), facts)
        case _:
            raise AssertionError(f"{facts.name} has facts and no reader")


def fit(images: UInt8[np.ndarray, "n c h w"], resolution: int) -> UInt8[np.ndarray, "n c r r"]:
    """Square images at another resolution, values 0..255.

    Up to 32 pixels larger ones are made by black pixels all around (28 -> 32: two on each side; an odd one goes right
    and below), as is customary for MNIST and its kin. Any other size is resized: bilinear with antialiasing, rounded.
    """
    side = images.shape[-1]
    if resolution == side:
        return images
    if side < resolution <= PADDED_UP_TO:
        before = (resolution - side) // 2
        after = resolution - side - before
        return np.pad(images, ((0, 0), (0, 0), (before, after), (before, after)))
    resized = np.empty((*images.shape[:2], resolution, resolution), np.uint8)
    for start in range(0, len(images), _RESIZED_AT_ONCE):
        chunk = slice(start, start + _RESIZED_AT_ONCE)
        pixels = torch.tensor(images[chunk]).float()
        pixels = F.interpolate(pixels, size=(resolution, resolution), mode="bilinear", antialias=True)
        torch.from_numpy(resized[chunk]).copy_(pixels.round_())
    return resized


def _by_class(split: Split, facts: DatasetFacts, name: str) -> Split:
    """The same images, class after class; within a class in their order."""
    missing = [facts.class_names[label] for label in range(facts.classes) if label not in split.labels]
    if missing:
        raise DataError(f"{facts.title} has no {name} images of {', '.join(missing)}: fetch its files again.")
    order = np.argsort(split.labels, kind="stable")
    return Split(split.images[order], split.labels[order])


def _hold_out(train: Split, held_out: int, facts: DatasetFacts) -> tuple[Split, Split]:
    """What distillation sees, and the last `held_out` images of every class."""
    sizes = np.bincount(train.labels, minlength=facts.classes)
    smallest = int(sizes.argmin())
    if not 0 <= held_out < sizes[smallest]:
        raise UserError(
            f"held_out is {held_out} and class {facts.class_names[smallest]!r} of {facts.name} has {sizes[smallest]} "
            f"training images: use 0 to {sizes[smallest] - 1}, so that some are left to distil from."
        )
    ends = np.cumsum(sizes)
    apart = np.zeros(len(train.labels), dtype=bool)
    for end in ends:
        apart[end - held_out : end] = True
    return Split(train.images[~apart], train.labels[~apart]), Split(train.images[apart], train.labels[apart])
