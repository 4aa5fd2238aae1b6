"""Which files of a folder are the dataset, by what lists them: the card, what `save_to_disk` wrote, or their names.

One dataset is read. A folder that holds several, or one that is not understood, is refused.
"""

import fnmatch
import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.card import Card, Declared, prepared_info, read_card
from glad_ray.spec.datasets.hugging_face.files import accessible
from glad_ray.spec.datasets.hugging_face.names import TEST, TRAIN, place_of
from glad_ray.spec.datasets.hugging_face.saved import is_of_saved, refuse_single, saved_bases, saved_splits
from glad_ray.spec.datasets.hugging_face.shards import LIST_THEM, check_shards, one_series, shown
from glad_ray.spec.datasets.hugging_face.tree import SAVED_DATASET, SAVED_DICT, Tree, read_tree, subfolders

_SNAPSHOTS = "snapshots"
_BESIDE_SNAPSHOTS = ("blobs", "refs")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The files of one dataset, and what it has beside them."""

    splits: Mapping[str, tuple[Path, ...]]
    """`train` and `test`, each with its files in order"""
    names: Mapping[str, str]
    """of `train` and `test`, what the dataset calls that split"""
    left_out: tuple[str, ...]
    """names of its other splits"""
    declared: Declared | None
    config: str = ""
    """the configuration that is read, where the card has several"""
    other_configs: tuple[str, ...] = ()


def find_layout(root: Path, wanted: str | None) -> Layout:
    """The files of the dataset in a folder, of the configuration `wanted` of its card; raises `DataError`."""
    with accessible(root):
        return _find(_snapshot(root), wanted)


def _find(root: Path, wanted: str | None) -> Layout:
    refuse_single(root)
    tree, card = read_tree(root), read_card(root)
    if card.configs:
        saved = [root / name for name in (SAVED_DICT, SAVED_DATASET) if (root / name).exists()]
        if saved:
            raise DataError(f"{card.path} lists the files of a dataset, and so does {saved[0]}: remove one of the two.")
        return _of_card(tree, card, wanted)
    if wanted is not None:
        raise DataError(
            f"{root} has no README.md that lists a configuration {wanted!r}: name the folder of one as hf:FOLDER, or "
            f"{LIST_THEM}."
        )
    saved = saved_bases(tree)
    loose = replace(tree, data=tuple(path for path in tree.data if not is_of_saved(path, tree)))
    if not saved:
        return _by_name(loose, card)
    if len(saved) > 1 or loose.data:
        raise _several(root, {*saved, *(path.parent for path in loose.data)})
    files = saved_splits(saved[0], tree)
    return _layout(files, saved[0], lambda name: files[name])


def _of_card(tree: Tree, card: Card, wanted: str | None) -> Layout:
    config = card.choose(wanted)
    patterns = config.patterns
    if patterns is None:
        folder = tree.root / _inside(".", config.data_dir or ".", card)
        found = _by_name(replace(tree, root=folder, data=tuple(p for p in tree.data if p.is_relative_to(folder))), card)
    else:

        def listed(name: str) -> tuple[Path, ...]:
            inside = [_inside(config.data_dir or ".", pattern, card) for pattern in patterns[name]]
            return _listed(tree, card, name, inside)

        found = _layout(patterns, card.path, listed)
    others = tuple(name for name in card.configs if name != config.config_name)
    return replace(
        found,
        declared=card.declared.get(config.config_name),
        config=config.config_name if others else "",
        other_configs=others,
    )


def _by_name(tree: Tree, card: Card) -> Layout:
    """The files whose names, or those of their folders, tell their split."""
    places = [place_of(path, tree.root) for path in tree.data]
    bases = {place.base for place in places}
    if not bases:
        raise DataError(f"{tree.root} has no .parquet or .arrow files: name the folder of a dataset of Hugging Face.")
    if len(bases) > 1:
        raise _several(tree.root, bases)
    (base,) = bases
    if below := next((folder for folder in (base, *base.parents) if _has_own_card(folder, tree.root)), None):
        return _find(below, None)
    unknown = [place.path for place in places if place.split is None]
    if unknown:
        raise DataError(
            f"The names of {shown(unknown)} and of their folders tell no split, such as train or test: rename "
            f"them, move them elsewhere, or {LIST_THEM}."
        )
    only = next(iter(card.declared.values())) if len(card.declared) == 1 else None
    splits = sorted({place.split for place in places if place.split is not None})
    found = _layout(
        splits, base, lambda name: one_series([place.path for place in places if place.split == name], name)
    )
    return replace(found, declared=only or card.declared.get(base.name) or prepared_info(base))


def _layout(available: Collection[str], where: Path, files: Callable[[str], tuple[Path, ...]]) -> Layout:
    """The splits to train and to test on of those that there are."""
    by_lower = {name.lower(): name for name in available}
    names = {}
    for role, words in {"train": TRAIN, "test": TEST}.items():
        name = next((by_lower[word] for word in words if word in by_lower), None)
        if name is None:
            raise DataError(
                f"{where} has no .parquet or .arrow files of a {role} split, but of {shown(sorted(available))}: name a "
                "dataset with train and test (or validation)."
            )
        names[role] = name
    splits = {role: files(name) for role, name in names.items()}
    paths = [path for each in splits.values() for path in each]
    if twice := [path for path, times in Counter(paths).items() if times > 1]:
        raise DataError(f"{where} lists {twice[0]} more than once: list each file in one split.")
    left_out = tuple(sorted(set(available) - set(names.values())))
    return Layout(splits=splits, names=names, left_out=left_out, declared=None)


def _listed(tree: Tree, card: Card, split: str, patterns: Sequence[str]) -> tuple[Path, ...]:
    """The files of a split that the card lists, in the order of its patterns."""
    found, data = list[Path](), set(tree.data)
    for pattern in patterns:
        parts = PurePosixPath(pattern).parts
        matched = [tree.root / pattern]
        if matched[0] not in data:
            matched = [path for path in tree.data if _matches(path.relative_to(tree.root).parts, parts)]
            check_shards(matched, among=tree.data)
        if not matched:
            raise DataError(
                f"{card.path} lists {pattern} for the {split} split, and there is no .parquet or .arrow file of that "
                "name: fetch it, or correct the list."
            )
        found += matched
    if len({path.suffix.lower() for path in found}) > 1:
        raise DataError(f"{card.path} lists Parquet and Arrow files for the {split} split: list one of the two.")
    return tuple(found)


def _has_own_card(folder: Path, root: Path) -> bool:
    """Whether a folder below `root` has a card that lists configurations."""
    return folder != root and folder.is_relative_to(root) and bool(read_card(folder).configs)


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, of which `**` stands for any number of folders."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(path[start:], pattern[1:]) for start in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _inside(folder: str, path: str, card: Card) -> str:
    """A path in a folder that the card names, relative to that of the card."""
    normal = posixpath.normpath(posixpath.join(folder, path))
    if "://" in path or normal.startswith(("../", "/")) or normal == "..":
        raise DataError(f"{card.path} names {path}, which is outside of its folder: list files of that folder alone.")
    return normal


def _snapshot(root: Path) -> Path:
    """The only revision in a folder of the hub's cache; any other folder as it is."""
    folder = root if root.name == _SNAPSHOTS else root / _SNAPSHOTS
    if not folder.is_dir() or not any((folder.parent / name).is_dir() for name in _BESIDE_SNAPSHOTS):
        return root
    revisions = subfolders(folder)
    if len(revisions) != 1:
        names = [f"hf:{revision}" for revision in revisions]
        which = f"{len(names)} revisions ({shown(names)}): name one" if names else "no revision: fetch the dataset"
        raise DataError(f"{root} is a dataset of the hub's cache with {which}.")
    return revisions[0]


def _several(root: Path, bases: Iterable[Path]) -> DataError:
    names = [f"hf:{base}" for base in sorted(bases)]
    return DataError(
        f"{root} holds more than one dataset or configuration, in {shown(names, most=8)}: name the folder of one, or "
        "move the others elsewhere."
    )
