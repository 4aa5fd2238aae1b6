"""The shards of a split: whether some files are one series, and whether all of it is there.

The `datasets` library takes every file whose name fits a split. Files of several series are refused here, for they are
old beside new, or two datasets.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from glad_ray.errors import DataError

LIST_THEM = "list the files of each split under `configs` in README.md"
SHARD = re.compile(r"(?P<stem>.*?)[-_]?(?P<index>\d+)[-_]of[-_](?P<count>\d+)(?:-[0-9a-f]{8,})?")
"""A file name without its suffix: `train-00000-of-00002`, with digits of its content or without."""
_NUMBERED = re.compile(r"(?P<stem>.*?)[-._ ]?(?P<index>\d+)")
_PARTS = ("", "part", "shard", "chunk", "batch", "file", "data")
"""What before a number makes it the number of a shard, beside the name of the split."""
_SHOWN = 3


def one_series(paths: Iterable[Path], split: str) -> tuple[Path, ...]:
    """The files of a split, sorted, if they are one file or one whole series of shards; raises `DataError`."""
    files = tuple(sorted(paths))
    partial = next((path.parent for path in files if path.parent.name.lower() == f"partial-{split}"), None)
    if partial is not None:
        raise DataError(
            f"{partial} is, by its name, only a part of the {split} split: fetch the whole split, or rename the folder "
            f"to {split} if that part is what you want."
        )
    check_shards(files)
    if len(files) > 1 and not _of_one_name(files, split):
        raise DataError(
            f"The files of the {split} split are not one series of shards ({shown(files)}): keep those of one dataset "
            f"there, or {LIST_THEM}."
        )
    return files


def check_shards(paths: Collection[Path], among: Iterable[Path] = ()) -> None:
    """Raise `DataError` if a series of shards among some files is of two counts, or is not whole.

    Shards are files `NAME-INDEX-of-COUNT`, or files whose name is a number alone. Others of a series may lie `among`
    other files.
    """
    wanted = {_series(path) for path in paths}
    series: dict[tuple[Path, str, str], dict[int, list[tuple[int, Path]]]] = {}
    for path in {**dict.fromkeys(paths), **dict.fromkeys(among)}:
        name = _series(path)
        if name is not None and name in wanted:
            shard = SHARD.fullmatch(path.stem)
            count, index = (int(shard["count"]), int(shard["index"])) if shard else (0, int(path.stem))
            series.setdefault(name, {}).setdefault(count, []).append((index, path))
    for counts in series.values():
        first, *others = (shards[0][1] for shards in counts.values())
        if others:
            raise DataError(
                f"{first.parent} has shards of series of different length ({shown([first, *others])}): remove those "
                "that are out of date."
            )
        for count, shards in counts.items():
            _check_whole(shards, count)


def shown(values: Sequence[object], most: int = _SHOWN) -> str:
    """Some of them, for a message."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def _series(path: Path) -> tuple[Path, str, str] | None:
    """What the shards of a series have in common; None for a file that is no shard."""
    shard = SHARD.fullmatch(path.stem)
    if shard is None and not path.stem.isdecimal():
        return None
    return path.parent, shard["stem"] if shard else "", path.suffix


def _check_whole(shards: Sequence[tuple[int, Path]], count: int) -> None:
    """Of a series that is numbered from 0 or from 1; count 0: not known."""
    by_index: dict[int, Path] = {}
    for index, path in shards:
        if index in by_index:
            raise DataError(f"{by_index[index]} and {path} are the same shard: remove the one that is out of date.")
        by_index[index] = path
    from_one = 0 not in by_index and (count or 1) in by_index
    indices = range(from_one, from_one + count if count else max(by_index) + 1)
    missing = list(itertools.islice((index for index in indices if index not in by_index), _SHOWN + 1))
    path = shards[0][1]
    if missing:
        raise DataError(
            f"{path.parent} lacks shards of the series of {path.name}: number {shown(missing)}; fetch them."
        )
    if beyond := [path for index, path in by_index.items() if index not in indices]:
        raise DataError(f"{beyond[0]} has a number beyond the count in its name: remove it, or fetch the right files.")


def _of_one_name(files: Sequence[Path], split: str) -> bool:
    """Whether files differ by nothing but the number of the shard; raises `DataError` if there are gaps."""
    pattern = SHARD if SHARD.fullmatch(files[0].stem) else _NUMBERED
    numbered = [(path, found) for path in files if (found := pattern.fullmatch(path.stem))]
    if len(numbered) < len(files) or len({(path.parent, path.suffix, found["stem"]) for path, found in numbered}) > 1:
        return False
    if pattern is SHARD:
        return True
    shards = [(int(found["index"]), path) for path, found in numbered]
    if min(shards)[0] > 1 or _last_word(numbered[0][1]["stem"]) not in (*_PARTS, split):
        return False
    _check_whole(shards, 0)
    return True


def _last_word(stem: str) -> str:
    return re.split(r"[-._ ]", stem.lower())[-1]
