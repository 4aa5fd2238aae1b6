"""Whether what lies in a folder is ours: a storage writes over no file that something else has written.

Files of runs, results and experts have ids in their names, so nobody else has files of these names. The others have
names that a user's own files may have, `plan.json` or `report/index.html` for instance.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from glad_ray.errors import DataError, UserError

_ID = r"[0-9a-f]{12}"
_NAMED_BY_IDS = {"runs": _ID, "experts": _ID, "generators": _ID, "results": rf"{_ID}-{_ID}\.parquet"}


def _has_key(key: str, content: bytes) -> bool:
    try:
        found = json.loads(content)
    except ValueError:
        return False
    return isinstance(found, dict) and key in found


def _is_page(content: bytes) -> bool:
    return b"Made by glad_ray" in content


def _is_owner(content: bytes) -> bool:
    return re.fullmatch(rb"[0-9a-f]{32}", content) is not None


_TELLING: Mapping[str, Callable[[bytes], bool]] = {
    "plan.json": partial(_has_key, "sweep"),
    "driver.json": partial(_has_key, "token"),
    "search/owner": _is_owner,
    "search/search.json": partial(_has_key, "vary"),
    "report/index.html": _is_page,
    "report/search.html": _is_page,
    "report/compare.html": _is_page,
}
"""files whose content tells whether they are ours"""
_BESIDE_THEM = (
    "replicas.json",
    "report/table.csv",
    "report/published.csv",
    "report/scores.csv",
    "report/orders.csv",
    "report/orders.md",
    "report/compare.csv",
    "report/search_trials.csv",
    "search/study.journal",
    "search/trials.parquet",
    "search/refused_draws.json",
)


class Files(Protocol):
    """What is asked of a `glad_ray.storage.Storage`."""

    def list(self, folder: str) -> tuple[str, ...]:
        """Paths right in a folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """The content of a file."""
        ...


def check_ours(storage: Files) -> None:
    """Raise `UserError` if there is a file that a storage would write over, and nothing tells that it is ours."""
    there = {path.rpartition("/")[2] for path in storage.list("")}
    if any(_has_ids(storage, folder, pattern) for folder, pattern in _NAMED_BY_IDS.items() if folder in there):
        return
    paths = [path for path in (*_TELLING, *_BESIDE_THEM) if path.partition("/")[0] in there and storage.exists(path)]
    telling = {path: _is_ours(storage, path) for path in paths if path in _TELLING}
    foreign = [path for path in paths if not telling.get(path, any(telling.values()))]
    if foreign:
        raise UserError(
            f"{storage} has a file {foreign[0]} that glad-ray did not write, and would write over: name a new folder, "
            "or move the file."
        )


def _has_ids(storage: Files, folder: str, pattern: str) -> bool:
    return any(re.fullmatch(pattern, path.rpartition("/")[2]) for path in storage.list(folder))


def _is_ours(storage: Files, path: str) -> bool:
    try:
        return _TELLING[path](storage.read_bytes(path))
    except (DataError, OSError):
        return False
