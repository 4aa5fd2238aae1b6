"""The tables of accuracy, pooled as the report pools them, and made again only when rows have come."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from glad_ray.errors import GladRayError, printable
from glad_ray.report.budget import budgets
from glad_ray.report.tables.accuracy import SELECTIONS, Score, Section, headline, scores_of, sections
from glad_ray.report.tables.conditions import evaluation_names
from glad_ray.report.tables.identity import identities, variants
from glad_ray.results import SCHEMA, read_part
from glad_ray.spec import Run, Selection
from glad_ray.storage import Storage

_READS_AT_ONCE = 16
_PAUSES = 9
"""after tables were made, as many times as long as that took"""
_NEEDED = (
    "run_id", "evaluation_id", "dataset", "resolution", "algorithm", "space", "generator", "ipc", "set_bytes",
    "generator_bytes", "seed", "profile", "step", "selection", "network", "seen", "repeat", "accuracy", "labels",
    "augmentation", "test_images", "evaluation_epochs", "evaluation_schedule", "evaluation_learning_rate", "whitening",
    "evaluation_optimiser", "evaluation_mixing", "evaluation_views",
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
    """what distinguishes evaluations, by their ids; empty if there is one only"""
    smaller: tuple[str, ...]
    """where the evaluations fall short of published protocols, a phrase each"""
    headlines: Mapping[tuple[str, str], Score]
    """of each run and evaluation: over the unseen networks, or of the backbone where there are none"""
    problems: tuple[str, ...]
    """sentences on what could not be read or shown"""


@dataclass(frozen=True, kw_only=True)
class RunScores:
    """What a run scored under one evaluation and selection."""

    evaluation_id: str
    selection: Selection
    steps: tuple[int, ...]
    scores: Mapping[str, Score]
    """by network"""


class ResultsReader:
    """Keeps the rows that were read, and the tables made of them."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._times: dict[str, float | None] = {}
        """when the parts were written that were read, by their paths"""
        self._rows = _empty()
        self._unread: dict[str, str] = {}
        """sentences on why parts cannot be read, by their paths"""
        self._runs: Mapping[str, Run] | None = None
        self._made: dict[Selection, Results] | None = None
        self._due = 0.0
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def refresh(self, runs: Mapping[str, Run]) -> None:
        """Read the parts that are new and make tables, unless that was done just now; `runs`: the records that are
        known, by id.
        """
        began = time.monotonic()
        if began < self._due:
            return
        times = {path: at for path, at in self.storage.times(Storage.RESULTS).items() if path.endswith(".parquet")}
        if times == self._times and runs is self._runs and self._made is not None:
            return
        if any(path not in times or at is None or times[path] != at for path, at in self._times.items()):
            # A part that is gone, or another than it was: its rows are somewhere among the others.
            self._times, self._rows, self._unread = {}, _empty(), {}
        new = sorted(times.keys() - self._times.keys())
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            read = dict(zip(new, pool.map(self._read, new), strict=True))
        parts = [part for part in read.values() if not isinstance(part, str)]
        # One table, for thousands of small ones take a multiple of the memory.
        self._rows = pa.concat_tables([self._rows, *parts]).combine_chunks()
        self._unread |= {path: part for path, part in read.items() if isinstance(part, str)}
        self._times, self._runs = times, runs
        there = set(pc.unique(self._rows["selection"]).to_pylist())
        selections = tuple(each for each in SELECTIONS if each in there)
        made = {each: self._make(each, selections, runs) for each in selections or SELECTIONS[:1]}
        with self._lock:
            self._made = made
        self._due = time.monotonic() + _PAUSES * (time.monotonic() - began)

    def of(self, selection: Selection) -> Results | None:
        """The tables under a selection, or under another if it has no rows; None: they are not read yet."""
        with self._lock:
            made = self._made
        return None if made is None else made.get(selection) or next(iter(made.values()))

    def of_run(self, run_id: str) -> list[RunScores]:
        """What a run scored."""
        table = self._rows
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in _as_rows(table.filter(pc.equal(table["run_id"], run_id))):
            if row["selection"] in SELECTIONS:
                groups[row["evaluation_id"], row["selection"]].append(row)
        return [
            RunScores(
                evaluation_id=evaluation_id,
                selection=rows[0]["selection"],
                steps=tuple(sorted({row["step"] for row in rows})),
                scores=scores_of(rows),
            )
            for (evaluation_id, _), rows in groups.items()
        ]

    def _read(self, path: str) -> pa.Table | str:
        try:
            return read_part(self.storage, path).select(_NEEDED)
        except (GladRayError, OSError, ValueError) as error:
            return printable(str(error))

    def _make(self, selection: Selection, selections: tuple[Selection, ...], runs: Mapping[str, Run]) -> Results:
        problems = [*self._unread.values()]
        rows = _as_rows(self._rows.filter(pc.equal(self._rows["selection"], selection)))
        try:
            made = sections(rows, variants(identities(rows, runs), runs))
            names, smaller = evaluation_names(rows), [each.smaller for each in budgets(rows, runs)]
            headlines = _headlines(rows)
        except Exception as error:  # rows that strangers wrote break it in any way, and the page has more to show
            problems.append(printable(f"The tables cannot be made ({type(error).__name__}: {error})."))
            made, names, smaller, headlines = (), {}, [], {}
        return Results(
            number=next(self._numbers),
            selection=selection,
            selections=selections,
            sections=made,
            evaluation_names=names,
            smaller=tuple(dict.fromkeys(phrase for of_one in smaller for phrase in of_one)),
            headlines=headlines,
            problems=tuple(problems),
        )


def _empty() -> pa.Table:
    return SCHEMA.empty_table().replace_schema_metadata().select(_NEEDED)


def _headlines(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Score]:
    of: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row["run_id"], row["evaluation_id"]].append(row)
    scores = {key: headline(scores_of(rows)) for key, rows in of.items()}
    return {key: score for key, score in scores.items() if score is not None}


def _as_rows(table: pa.Table) -> list[dict[str, Any]]:
    """As `Table.to_pylist`, but equal texts are one object."""
    columns = [_values(table[name].combine_chunks()) for name in _NEEDED]
    return [dict(zip(_NEEDED, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array) -> Sequence[Any]:
    if not pa.types.is_string(column.type):
        return column.to_pylist()
    encoded = column.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    return [None if place is None else words[place] for place in encoded.indices.to_pylist()]
