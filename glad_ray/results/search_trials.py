"""The trials of a search as one table, written from its study: all that its report needs of it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, TypeAdapter

from glad_ray.errors import UserError
from glad_ray.results.parquet import damaged, read_table, to_parquet
from glad_ray.spec.record import Record
from glad_ray.spec.run import Run
from glad_ray.spec.searches.search import Search
from glad_ray.storage import Storage

TrialState = Literal["running", "stopped", "complete", "failed"]
"""stopped: at a rung, by the pruner; complete: evaluated at the last rung; failed: by a fault of its own"""


class SearchTrial(Record):
    """One configuration that a search has begun."""

    number: int = Field(ge=0)
    state: TrialState
    run: Run
    parameters: Mapping[str, str | float | int | bool | None]
    """what was drawn, by the parameter's name, in the order in which it was; others have others"""
    rung_accuracies: tuple[float, ...] = ()
    """accuracies on held-out training images, in [0, 1], one a rung that it reached"""
    seconds: float = Field(default=0.0, ge=0)
    """of distilling and of rung evaluations, until it was complete or stopped"""
    values: tuple[float, ...] = ()
    """of the objectives, of a complete trial"""
    full: Mapping[str, tuple[float, ...]] = {}
    """accuracies on held-out training images of the evaluation in full, in [0, 1], one a repeat, by network"""
    full_seconds: float = Field(default=0.0, ge=0)
    """of the evaluation in full, and of what was left to distil for it"""
    control: bool = False
    """evaluated in full though it was stopped, drawn at random: it tells how well the rungs rank trials"""
    error: str | None = None
    """why it failed"""

    @property
    def full_accuracy(self) -> float | None:
        """The mean over networks of the mean over repeats; None if it was not evaluated in full."""
        if not self.full:
            return None
        return sum(sum(each) / len(each) for each in self.full.values()) / len(self.full)


class RefusedDraw(Record):
    """What a search drew and no run can be made of, so that no trial began."""

    number: int = Field(ge=0)
    """of the draw; trials have numbers of the same row"""
    parameters: Mapping[str, str | float | int | bool | None]
    """what was drawn, by the parameter's name"""
    error: str
    """why it is no run"""


_DRAWS = TypeAdapter(tuple[RefusedDraw, ...])
_COLUMNS = {"rung_accuracies": "looks"}
"""columns that have another name than their field"""
_SCHEMA = pa.schema([
    ("number", pa.int64()),
    ("state", pa.string()),
    ("run_id", pa.string()),
    ("space", pa.string()),
    ("parameters", pa.string()),
    ("looks", pa.list_(pa.float64())),
    ("seconds", pa.float64()),
    ("values", pa.list_(pa.float64())),
    ("full_accuracy", pa.float64()),
    ("full", pa.string()),
    ("full_seconds", pa.float64()),
    ("control", pa.bool_()),
    ("error", pa.string()),
    ("run", pa.string()),
])  # fmt: skip


def best_in_full(trials: Iterable[SearchTrial]) -> SearchTrial | None:
    """The winner: the best in full, controls among them; None: nothing was evaluated in full."""
    return max(
        (trial for trial in trials if trial.full_accuracy is not None),
        key=lambda trial: trial.full_accuracy or 0.0,
        default=None,
    )


def write_search(storage: Storage, search: Search) -> None:
    """Keep what is searched beside what is found."""
    storage.write_bytes(Storage.SEARCH, search.model_dump_json(indent=1).encode())


def read_search(storage: Storage) -> Search:
    """What `write_search` kept; raises `DataError` if there is none, or it is damaged or of another version."""
    content = storage.read_bytes(Storage.SEARCH)
    try:
        return Search.model_validate_json(content)
    except (UserError, ValueError) as error:
        raise damaged(storage, Storage.SEARCH) from error


def write_trials(storage: Storage, trials: Iterable[SearchTrial]) -> None:
    """Write the trials of a search, in their order."""
    rows = [_row(trial) for trial in trials]
    storage.write_bytes(Storage.SEARCH_TRIALS, to_parquet(pa.Table.from_pylist(rows, schema=_SCHEMA)))


def read_trials(storage: Storage) -> tuple[SearchTrial, ...]:
    """The trials that `write_trials` kept; none where there are none. Raises `DataError` if they are damaged."""
    if not storage.exists(Storage.SEARCH_TRIALS):
        return ()
    return tuple(map(_trial, read_table(storage, Storage.SEARCH_TRIALS, _SCHEMA).to_pylist()))


def write_refused_draws(storage: Storage, draws: Iterable[RefusedDraw]) -> None:
    """Write the draws of a search of which no run can be made, in their order."""
    storage.write_bytes(Storage.SEARCH_REFUSED, _DRAWS.dump_json(tuple(draws), indent=1))


def read_refused_draws(storage: Storage) -> tuple[RefusedDraw, ...]:
    """What `write_refused_draws` kept; none where there are none. Raises `DataError` if they are damaged."""
    if not storage.exists(Storage.SEARCH_REFUSED):
        return ()
    try:
        return _DRAWS.validate_json(storage.read_bytes(Storage.SEARCH_REFUSED))
    except (UserError, ValueError) as error:
        raise damaged(storage, Storage.SEARCH_REFUSED) from error


def _row(trial: SearchTrial) -> dict[str, Any]:
    row = trial.model_dump(mode="json")
    derived = {column: row.pop(name) for name, column in _COLUMNS.items()}
    derived |= {"run_id": trial.run.run_id, "space": trial.run.space, "full_accuracy": trial.full_accuracy}
    return row | derived | {name: json.dumps(row[name]) for name in ("parameters", "full", "run")}


def _trial(row: Mapping[str, Any]) -> SearchTrial:
    fields = {name: row[_COLUMNS.get(name, name)] for name in SearchTrial.model_fields}
    run = Run.model_validate(json.loads(row["run"])).stored_as(row["run_id"])
    return SearchTrial(**fields | {name: json.loads(row[name]) for name in ("parameters", "full")} | {"run": run})
