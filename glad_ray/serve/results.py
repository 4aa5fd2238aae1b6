"""The tables of accuracy, pooled as the report pools them, and made again only when parts of the table have come."""

import itertools
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from glad_ray.errors import GladRayError, printable
from glad_ray.report.budget import budgets
from glad_ray.report.conditions import evaluation_names
from glad_ray.report.identity import identities, variants
from glad_ray.report.tables import SELECTIONS, Section, sections
from glad_ray.results import SCHEMA, read_part
from glad_ray.spec import Run, Selection
from glad_ray.storage import Storage

_READS_AT_ONCE = 16
_NEEDED = (
    "run_id", "evaluation_id", "dataset", "resolution", "algorithm", "space", "generator", "ipc", "set_bytes",
    "generator_bytes", "seed", "profile", "step", "selection", "network", "seen", "repeat", "accuracy", "labels",
    "augmentation", "test_images", "evaluation_epochs", "evaluation_schedule", "evaluation_learning_rate", "whitening",
)  # fmt: skip
"""columns that tables are made of: a storage may have a million rows, and all columns of them would fill the memory"""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What is in the table of results under one selection."""

    number: int
    """another one for every making"""
    selection: Selection
    selections: tuple[Selection, ...]
    """those that have rows"""
    sections: tuple[Section, ...]
    evaluation_names: Mapping[str, str]
    smaller: tuple[str, ...]
    """where the evaluations fall short of the paper's, a phrase each"""
    problems: tuple[str, ...]
    """sentences on what could not be read or shown"""


class ResultsReader:
    """Keeps the parts of the table that were read, and the tables made of them."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._times: dict[str, float | None] = {}
        self._parts: dict[str, pa.Table | str] = {}
        """or a sentence on why there is none"""
        self._runs: Mapping[str, Run] = {}
        self._made: dict[Selection, Results] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def refresh(self, runs: Mapping[str, Run]) -> None:
        """Read the parts that are new; `runs`: the records that are known, by id."""
        times = {path: at for path, at in self.storage.times(Storage.RESULTS).items() if path.endswith(".parquet")}
        new = [path for path, at in times.items() if at is None or self._times.get(path) != at]
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            read = dict(zip(new, pool.map(self._read, new), strict=True))
        with self._lock:
            wanted = tuple(self._made)
            if read or times.keys() != self._times.keys() or runs is not self._runs:
                self._parts = {path: read.get(path, self._parts.get(path, "")) for path in times}
                self._made, self._times, self._runs = {}, times, runs
        for selection in wanted or SELECTIONS[:1]:
            self.of(selection)

    def of(self, selection: Selection) -> Results:
        """The tables under a selection."""
        with self._lock:
            if selection not in self._made:
                self._made[selection] = self._make(selection)
            return self._made[selection]

    def _read(self, path: str) -> pa.Table | str:
        try:
            return read_part(self.storage, path).select(_NEEDED)
        except (GladRayError, OSError, ValueError) as error:
            return printable(str(error))

    def _make(self, selection: Selection) -> Results:
        problems = [part for part in self._parts.values() if isinstance(part, str)]
        parts = [part for _, part in sorted(self._parts.items()) if not isinstance(part, str)]
        empty = SCHEMA.empty_table().replace_schema_metadata().select(_NEEDED)
        table = pa.concat_tables([empty, *parts])
        there = set(pc.unique(table["selection"]).to_pylist())
        rows = _rows(table.filter(pc.equal(table["selection"], selection)))
        try:
            made = sections(rows, variants(identities(rows, self._runs), self._runs))
            names, smaller = evaluation_names(rows), [each.smaller for each in budgets(rows, self._runs)]
        except Exception as error:  # rows that strangers wrote break it in any way, and the page has more to show
            problems.append(printable(f"The tables cannot be made ({type(error).__name__}: {error})."))
            made, names, smaller = (), {}, []
        return Results(
            number=next(self._numbers),
            selection=selection,
            selections=tuple(each for each in SELECTIONS if each in there),
            sections=made,
            evaluation_names=names,
            smaller=tuple(dict.fromkeys(phrase for of_one in smaller for phrase in of_one)),
            problems=tuple(problems),
        )


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """As `Table.to_pylist`, but equal texts are one object."""
    columns = [_values(table[name].combine_chunks()) for name in _NEEDED]
    return [dict(zip(_NEEDED, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array) -> Sequence[Any]:
    if not pa.types.is_string(column.type):
        return column.to_pylist()
    encoded = column.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    return [None if place is None else words[place] for place in encoded.indices.to_pylist()]
