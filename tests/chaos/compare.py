"""A table of results beside that of a quiet run: what is lost, doubled, or another number."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from glad_ray.results import read_results
from glad_ray.storage import Storage
from tests.engine.tiny import OF_THE_MACHINE

TOLERANCE = 1e-5
_KEY = ("run_id", "evaluation_id", "selection", "network", "repeat")
Row = Mapping[str, Any]


def rows(storage: Storage) -> list[dict[str, Any]]:
    """Of all runs, without what differs from one execution to the next."""
    return read_results(storage).drop_columns(OF_THE_MACHINE).to_pylist()


def differences(ours: Iterable[Row], quiet: Iterable[Row]) -> list[str]:
    """What is not as in the quiet table, in words; nothing, if all is."""
    ours, theirs = list(ours), {_key(row): row for row in quiet}
    counted = Counter(map(_key, ours))
    wrong = [f"lost: the row {_words(key)}" for key in theirs if key not in counted]
    wrong += [f"{count} times: the row {_words(key)}" for key, count in counted.items() if count > 1]
    wrong += [f"not in the quiet table: the row {_words(key)}" for key in counted if key not in theirs]
    for row in ours:
        quiet_row = theirs.get(_key(row), row)
        for name, value in row.items():
            if not _same(value, quiet_row[name]):
                wrong.append(f"{name} is {value}, quietly {quiet_row[name]}: the row {_words(_key(row))}")
    return wrong


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _words(key: tuple[Any, ...]) -> str:
    return " ".join(map(str, key))


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) <= TOLERANCE
    return bool(ours == theirs)
