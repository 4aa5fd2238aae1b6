"""`hf:PATH`, a dataset of Hugging Face on the disk: a folder of Parquet files as the hub has them, or one saved by
`save_to_disk`, whose files are Arrow streams.

Which files are the dataset, its card or its saved lists say, or else their names, by the rules of the library; the
schema of a file says which columns are images (a struct of bytes and path) and which are labels, with the names of the
classes. So pyarrow alone reads them. `hf:PATH@NAME` is one of several configurations that the card of a folder lists.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from glad_ray.errors import DataError
from glad_ray.paths import expanded
from glad_ray.spec.datasets.facts import DatasetFacts
from glad_ray.spec.datasets.hugging_face.columns import find_columns
from glad_ray.spec.datasets.hugging_face.files import (
    accessible,
    check_distinct,
    count_rows,
    image_bytes,
    record_batches,
)
from glad_ray.spec.datasets.hugging_face.layout import Layout, find_layout
from glad_ray.spec.datasets.pictures import LOOKED_AT, appearance_of, spread

__all__ = [
    "PREFIX",
    "HuggingFaceFiles",
    "count_rows",
    "hugging_face_facts",
    "hugging_face_files",
    "image_bytes",
    "record_batches",
]

PREFIX = "hf:"


@dataclass(frozen=True, kw_only=True)
class HuggingFaceFiles:
    """Where the images and labels of a dataset are."""

    splits: Mapping[str, tuple[Path, ...]]
    """`train` and `test`, each with its files in order"""
    image: str
    """name of the column of images"""
    label: str
    class_names: tuple[str, ...]


def hugging_face_facts(name: str) -> DatasetFacts:
    """Facts of `hf:PATH`, from its schema, its numbers of rows and the headers of some images of every file.

    Raises `DataError` if there is no such dataset, its schema tells no images or classes, it has other numbers of
    images than are declared, or two of its files are the same.
    """
    root, wanted = _located(name)
    layout = find_layout(root, wanted)
    files = _files(layout)
    counts = {path: count_rows(path) for paths in files.splits.values() for path in paths}
    images = {split: sum(counts[path] for path in paths) for split, paths in files.splits.items()}
    _check_counts(layout, images)
    check_distinct(path for path, count in counts.items() if count)
    if not images["train"]:
        raise DataError(f"{files.splits['train'][0].parent} has no training images: name a dataset that has some.")
    seen = appearance_of(_some_images(files))
    mean, std, statistics = seen.statistics
    title = root.resolve().name or name
    return DatasetFacts(
        name=name,
        title=f"{title} ({layout.config})" if layout.config else title,
        class_names=files.class_names,
        channels=seen.channels,
        resolution=seen.resolution,
        many_sizes=seen.many_sizes,
        train_images=images["train"],
        test_images=images["test"],
        mean=mean,
        std=std,
        statistics=statistics,
        note=_note(layout, wanted),
    )


def hugging_face_root(name: str) -> Path:
    """The PATH of `hf:PATH`; raises `DataError` if there is no such folder."""
    return _located(name)[0]


def hugging_face_files(name: str) -> HuggingFaceFiles:
    """The files of `hf:PATH`, checked to be of one kind; raises `DataError`."""
    return _files(find_layout(*_located(name)))


def _located(name: str) -> tuple[Path, str | None]:
    """The PATH of `hf:PATH` or `hf:PATH@NAME`, and that name of a configuration; a folder may have `@` in its name."""
    text = name.removeprefix(PREFIX)
    with accessible(text):
        whole = expanded(text)
        if whole.is_dir():
            return whole, None
        for place in reversed([place for place, letter in enumerate(text) if letter == "@"]):
            folder, config = expanded(text[:place]), text[place + 1 :]
            if folder.is_dir() and config and "/" not in config:
                return folder, config
        kind = "is a file, not a folder" if whole.exists() else "is not there"
    raise DataError(
        f"{whole} {kind}: hf:PATH names a folder on the disk, never a dataset on the hub; fetch that first, for "
        "example with `hf download NAME --repo-type dataset --local-dir FOLDER`."
    )


def _files(layout: Layout) -> HuggingFaceFiles:
    paths = [path for each in layout.splits.values() for path in each]
    columns = {path: find_columns(path, layout.declared) for path in paths}
    first = columns[paths[0]]
    if other := next((path for path in paths if columns[path] != first), None):
        raise DataError(
            f"{paths[0]} and {other} have different columns or classes: keep the files of one dataset there."
        )
    return HuggingFaceFiles(splits=layout.splits, image=first.image, label=first.label, class_names=first.class_names)


def _check_counts(layout: Layout, images: Mapping[str, int]) -> None:
    """Raise `DataError` if the splits have other numbers of images than are declared."""
    for split, count in images.items():
        name = layout.names[split]
        declared = layout.declared.counts.get(name.lower()) if layout.declared else None
        if layout.declared and declared not in (None, count):
            raise DataError(
                f"The files of the {name} split have {count} images, and {layout.declared.source} says {declared}: "
                "fetch what is missing, remove what does not belong there, or correct the number."
            )


def _note(layout: Layout, wanted: str | None) -> str:
    """What is read of a dataset that has more; empty if all is."""
    left_out = [f"configuration {name}" for name in layout.other_configs]
    left_out += [f"split {name}" for name in layout.left_out]
    if not left_out:
        return ""
    default = "" if wanted else " (the default)"
    config = f" of configuration {layout.config}{default}" if layout.config else ""
    splits = f"splits {layout.names['train']} and {layout.names['test']}"
    return f"the {splits}{config} are read; not read: {', '.join(left_out)}."


def _some_images(files: HuggingFaceFiles) -> Iterator[tuple[bytes, str]]:
    """Images of the first rows of every file."""
    paths = [path for of_split in files.splits.values() for path in of_split]
    each = max(1, LOOKED_AT // len(paths))
    for path in paths:
        column = next((batch.column(0) for batch in record_batches(path, [files.image]) if len(batch)), ())
        for row in spread(range(len(column)), each):
            yield image_bytes(column[row], f"row {row} of {path}"), f"row {row} of {path}"
