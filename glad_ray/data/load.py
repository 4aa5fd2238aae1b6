"""Datasets by name, brought to a resolution and split."""

import importlib
from pathlib import Path
from typing import cast

import numpy as np

from glad_ray.data.dataset import Dataset, Split
from glad_ray.data.kept_whitening import kept_zca
from glad_ray.data.parts import Form, Part, Reader
from glad_ray.data.prepare import Decode, OnProgress, decode_here, prepared
from glad_ray.data.readers.own import folder_parts, hugging_face_parts
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DatasetFacts, NamedDataset, dataset_facts
from glad_ray.spec.datasets import folder
from glad_ray.spec.images.whitening import Whitening, check_whitening


def load_dataset(
    name: str,
    *,
    resolution: int,
    held_out: int = 0,
    root: Path | None = None,
    antialias: bool = True,
    whitening: Whitening = "none",
    decode: Decode = decode_here,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """A dataset at `resolution` pixels a side (see `fit` and `fit_picture`), every split sorted by label.

    The last `held_out` training images of each class are kept apart. `root` is where to look for a dataset that is
    not bundled. It is prepared once (see `prepared`), with what `decode` makes of its parts, telling `on_progress`.
    With `whitening` zca networks see whitened images; the whitening is fitted to the training images that are not held
    out, once, and kept (see `kept_zca`).

    Raises `UserError` if the name, resolution or held_out is impossible or nothing is found, `DataError` if a file is
    damaged.
    """
    facts = dataset_facts(name)
    if resolution < 1:
        raise UserError(f"resolution is {resolution}: use 1 pixel or more, {facts.resolution} for {name} as stored.")
    check_whitening(whitening, facts.channels, resolution)
    form = Form(facts.channels, resolution, antialias)
    splits = prepared(facts, _parts(facts, root), form, decode=decode, on_progress=on_progress)
    train, test = (_checked(splits[split], facts, split) for split in ("train", "test"))
    train, apart = _hold_out(train, held_out, facts)
    return Dataset(
        name=name,
        train_images=train.images,
        train_labels=train.labels,
        held_out_images=apart.images,
        held_out_labels=apart.labels,
        test_images=test.images,
        test_labels=test.labels,
        class_names=facts.class_names,
        mean=facts.mean,
        std=facts.std,
        whitening=None if whitening == "none" else kept_zca(train.images, facts.title),
    )


def find_dataset(name: str, root: Path | None = None) -> None:
    """Raise the `UserError` that says where a dataset was looked for, and how to get it, if it is not there."""
    facts = dataset_facts(name)
    if isinstance(facts, NamedDataset):
        _reader(facts).find(facts, root)


def _parts(facts: DatasetFacts, root: Path | None) -> list[Part]:
    if isinstance(facts, NamedDataset):
        reader = _reader(facts)
        return reader.parts(reader.find(facts, root), facts)
    return folder_parts(facts.name) if facts.name.startswith(folder.PREFIX) else hugging_face_parts(facts.name)


def _reader(facts: NamedDataset) -> Reader:
    return cast("Reader", importlib.import_module(facts.reader))


def _checked(split: Split, facts: DatasetFacts, name: str) -> Split:
    """The same; raises `DataError` unless there are images of every class."""
    sizes = np.bincount(split.labels, minlength=facts.classes)
    if not sizes.all():
        missing = [facts.class_names[label] for label in np.flatnonzero(sizes == 0)]
        raise DataError(f"{facts.title} has no {name} images of {', '.join(missing)}: fetch its files again.")
    return split


def _hold_out(train: Split, held_out: int, facts: DatasetFacts) -> tuple[Split, Split]:
    """What distillation sees, and the last `held_out` images of every class."""
    sizes = np.bincount(train.labels, minlength=facts.classes)
    smallest = int(sizes.argmin())
    if not 0 <= held_out < sizes[smallest]:
        raise UserError(
            f"held_out is {held_out} and class {facts.class_names[smallest]!r} of {facts.name} has {sizes[smallest]} "
            f"training images: use 0 to {sizes[smallest] - 1}, so that some are left to distil from."
        )
    if held_out == 0:
        return train, Split(train.images[:0], train.labels[:0])
    ends = np.cumsum(sizes)
    apart = np.zeros(len(train.labels), dtype=bool)
    for end in ends:
        apart[end - held_out : end] = True
    return Split(train.images[~apart], train.labels[~apart]), Split(train.images[apart], train.labels[apart])
