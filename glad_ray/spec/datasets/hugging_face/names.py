"""Splits by the names of files and folders, by the rules of the `datasets` library.

A name tells a split if it has one of the library's words for it, set off by one of `-._ ` or a digit.
"""

import re
from pathlib import Path
from typing import NamedTuple

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.shards import LIST_THEM, SHARD

TRAIN = ("train", "training")
TEST = ("test", "testing", "evaluation", "eval", "validation", "valid", "val", "dev")
"""The splits to test on, in the order in which they are preferred."""
_KEYWORD = re.compile(rf"(?:^|(?<=[-._ 0-9]))(?:{'|'.join((*TRAIN, *TEST))})(?=[-._ 0-9]|$)")


class Place(NamedTuple):
    """What the name of a file tells of it."""

    base: Path
    """folder of the dataset that it belongs to"""
    split: str | None
    """name of its split, in lower case"""
    path: Path


def split_named(name: str) -> str | None:
    """The one split that a name tells, in lower case; None if there is none, or more than one."""
    keywords = _keywords(name)
    return keywords.pop() if len(keywords) == 1 else None


def place_of(path: Path, root: Path) -> Place:
    """What is known of a file by its name and those of its folders up to `root`; raises `DataError` for two splits.

    Without any of the library's words, `extra-00000-of-00001.parquet` and `extra/0000.parquet` are of a split `extra`.
    """
    folders = path.relative_to(root).parent.parts
    shard = SHARD.fullmatch(path.stem)
    naming = [number for number, folder in enumerate(folders) if _keywords(folder)]
    if shard and not naming and folders and folders[-1] == "data":
        return Place(path.parent, shard["stem"].lower(), path)
    keywords = _keywords(path.stem).union(*(_keywords(folder) for folder in folders))
    if len(keywords) > 1:
        raise DataError(
            f"{path} names more than one split ({', '.join(sorted(keywords))}) with those of its folders: name the "
            f"folder in which the dataset begins, rename it, or {LIST_THEM}."
        )
    if keywords:
        base = root.joinpath(*folders[: naming[0]]) if naming else path.parent
        return Place(base, keywords.pop(), path)
    if shard and shard["stem"]:
        return Place(path.parent, shard["stem"].lower(), path)
    if folders and path.stem.isdecimal():
        return Place(path.parent.parent, folders[-1].lower(), path)
    return Place(path.parent, None, path)


def _keywords(name: str) -> set[str]:
    return set(_KEYWORD.findall(name.lower()))
