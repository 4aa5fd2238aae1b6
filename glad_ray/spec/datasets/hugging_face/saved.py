"""What `save_to_disk` wrote: the folder of a `DatasetDict`, or the folders of its splits side by side.

`dataset_dict.json` lists the splits and `state.json` the files of each; whatever else lies there, the caches of `map`
among it, is not data.
"""

import json
from pathlib import Path
from typing import Any

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.files import is_parquet, read_text
from glad_ray.spec.datasets.hugging_face.names import split_named
from glad_ray.spec.datasets.hugging_face.tree import SAVED_DATASET, SAVED_DICT, Tree


def saved_bases(tree: Tree) -> list[Path]:
    """The folders in which a saved dataset of several splits begins."""
    dicts = [folder for folder in tree.saved_dicts if not _within(folder.parent, tree.saved_dicts)]
    splits = [folder for folder in tree.saved_datasets if not _within(folder, tree.saved_dicts)]
    return sorted({*dicts, *(folder.parent for folder in splits)})


def is_of_saved(path: Path, tree: Tree) -> bool:
    """Whether a file lies in the folder of a saved dataset, which says itself what is data."""
    return _within(path.parent, (*tree.saved_dicts, *tree.saved_datasets))


def saved_splits(base: Path, tree: Tree) -> dict[str, tuple[Path, ...]]:
    """The files of every split of what is saved in a folder; raises `DataError`."""
    if base in tree.saved_dicts:
        folders = {name: base / name for name in _names(base / SAVED_DICT)}
    else:
        folders = _by_name([folder for folder in tree.saved_datasets if folder.parent == base])
    others = [path for path in tree.data if is_parquet(path) and path.is_relative_to(base)]
    if others:
        raise DataError(
            f"{base} holds a dataset that was saved by save_to_disk, and Parquet files ({others[0]}): keep one of the "
            "two there."
        )
    return {name: _members(folder) for name, folder in folders.items()}


def refuse_single(root: Path) -> None:
    """Raise `DataError` if a folder is that of a saved `Dataset`, which has no splits."""
    if not (root / SAVED_DATASET).exists() or (root / SAVED_DICT).exists():
        return
    if (root.parent / SAVED_DICT).exists():
        raise DataError(f"{root} is one split of a saved dataset: name the folder above it, hf:{root.parent}.")
    raise DataError(
        f"{root} is a single saved Dataset, without splits: save a DatasetDict with train and test, as "
        "dataset.train_test_split(test_size=0.2).save_to_disk(FOLDER) does."
    )


def _members(folder: Path) -> tuple[Path, ...]:
    """The files that `state.json` lists, in its order."""
    path = folder / SAVED_DATASET
    state = _json(path)
    chosen = next((key for key, value in state.items() if key.startswith("_indices") and value), None)
    if chosen is not None:
        raise DataError(
            f"{path} chooses rows by {chosen}, which is not supported: load the dataset, and save its "
            "flatten_indices()."
        )
    files = state.get("_data_files")
    if not isinstance(files, list) or not files or not all(_is_member(file) for file in files):
        raise DataError(f"{path} lists no data files by name alone: load the dataset and save it again.")
    members = tuple(folder / file["filename"] for file in files)
    missing = [member for member in members if not member.exists()]
    if missing:
        raise DataError(f"{missing[0]} is missing and {path} lists it: fetch it, or save the dataset again.")
    return members


def _by_name(folders: list[Path]) -> dict[str, Path]:
    """Folders of saved `Dataset`s by the split that their names tell."""
    found: dict[str, Path] = {}
    for folder in folders:
        split = split_named(folder.name)
        if split is None:
            raise DataError(
                f"{folder} is a saved Dataset whose name tells no split: call it train or test, or move it elsewhere."
            )
        if split in found:
            raise DataError(f"{found[split]} and {folder} are both of the {split} split: move one elsewhere.")
        found[split] = folder
    return found


def _json(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged (no JSON): fetch it or save the dataset again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (no JSON object): fetch it or save the dataset again.")
    return content


def _is_member(file: Any) -> bool:
    # Old versions of the library also took rows of a file, by `skip` and `take`.
    return isinstance(file, dict) and list(file) == ["filename"] and isinstance(file["filename"], str)


def _names(path: Path) -> list[str]:
    """The splits that `dataset_dict.json` lists."""
    names = _json(path).get("splits")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} lists no splits: save the dataset again.")
    return names


def _within(folder: Path, folders: tuple[Path, ...]) -> bool:
    return any(folder.is_relative_to(each) for each in folders)
