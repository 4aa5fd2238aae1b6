"""Rows of results pooled into tables: a section per dataset and images per class, a table per selection.

A cell pools the repeats of all seeds: their mean and population deviation. The deviation of a mean over networks is the
mean of the networks' deviations, as in the paper (its Table 3 shows both).
"""

import csv
import io
import itertools
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from glad_ray.report.identity import space_order
from glad_ray.spec import Selection
from glad_ray.spec.algorithm import ALGORITHM_NAMES

SELECTIONS: tuple[Selection, ...] = get_args(Selection)


_CSV_COLUMNS = (
    "dataset", "resolution", "ipc", "evaluation_id", "selection", "algorithm", "space", "variant", "seeds",
    "trainings", "steps", "network", "seen", "accuracy_percent", "std_percent",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Score:
    """A pooled accuracy, 0 to 1."""

    mean: float
    std: float | None
    """None of a single training"""
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: runs that differ in nothing but their seed."""

    algorithm: str
    space: str
    variant: str
    """what sets it apart from other rows of its algorithm and space; empty if there are none"""
    run_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    trainings: int
    """per network"""
    steps: tuple[int, ...]
    """the steps that were selected, ascending"""
    scores: Mapping[str, Score]
    """per network key"""
    unseen: Score | None
    """mean over the networks that did not distill"""
    over_random: float | None
    """`unseen` minus that of random real images"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The accuracies under one selection."""

    selection: Selection
    networks: tuple[str, ...]
    rows: tuple[Row, ...]

    def best(self, row: Row, network: str | None) -> bool:
        """Whether a row is the best of its algorithm's, if it has several, on a network (None: on the unseen)."""

        def mean(of: Row) -> float:
            score = of.unseen if network is None else of.scores.get(network)
            return -math.inf if score is None else score.mean

        rivals = [other for other in self.rows if other.algorithm == row.algorithm]
        return len(rivals) > 1 and math.isfinite(mean(row)) and mean(row) == max(map(mean, rivals))

    @property
    def all_seen(self) -> frozenset[str]:
        """Networks that are the backbone of every row."""
        return frozenset(
            key for key in self.networks if all(row.scores[key].seen for row in self.rows if key in row.scores)
        )

    @property
    def has_unseen(self) -> bool:
        """Whether any network is new to the synthetic sets."""
        return any(row.unseen is not None for row in self.rows)

    @property
    def by_algorithm(self) -> list[tuple[str, list[Row]]]:
        """The rows, an entry per algorithm."""
        return [(name, list(rows)) for name, rows in itertools.groupby(self.rows, key=lambda row: row.algorithm)]

    @property
    def random(self) -> Score | None:
        """The baseline's score on the unseen networks."""
        return next((row.unseen for row in self.rows if row.algorithm == "random"), None)

    def same_scores(self, other: "Table") -> bool:
        """Whether another selection took the same trainings."""
        return [(row.steps, row.scores) for row in self.rows] == [(row.steps, row.scores) for row in other.rows]


@dataclass(frozen=True, kw_only=True)
class Section:
    """All tables of a dataset at a resolution, a number of images per class and an evaluation."""

    dataset: str
    resolution: int
    ipc: int
    evaluation_id: str
    tables: tuple[Table, ...]
    """by selection, `last` first"""


def sections(rows: Sequence[Mapping[str, Any]], variant_of: Mapping[str, str]) -> tuple[Section, ...]:
    """The tables of all results; `variant_of` tells by run id what sets rows of a space apart."""
    groups = _grouped(rows, "dataset", "resolution", "ipc", "evaluation_id")
    made = []
    for (dataset, resolution, ipc, evaluation_id), of_section in sorted(groups.items()):
        by_selection = _grouped(of_section, "selection")
        tables = [_table(name, by_selection[(name,)], variant_of) for name in SELECTIONS if (name,) in by_selection]
        made.append(
            Section(dataset=dataset, resolution=resolution, ipc=ipc, evaluation_id=evaluation_id, tables=tuple(tables))
        )
    return tuple(made)


def to_csv(made: Iterable[Section]) -> str:
    """All tables as one, a line per cell and one per mean over the unseen networks; accuracies in percent."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for section in made:
        for table in section.tables:
            for row in table.rows:
                scores = [*row.scores.items(), *([("mean of unseen", row.unseen)] if row.unseen else [])]
                for network, score in scores:
                    writer.writerow(
                        [
                            section.dataset,
                            section.resolution,
                            section.ipc,
                            section.evaluation_id,
                            table.selection,
                            row.algorithm,
                            row.space,
                            row.variant,
                            len(row.seeds),
                            row.trainings,
                            " ".join(map(str, row.steps)),
                            network,
                            "yes" if score.seen else "no",
                            f"{100 * score.mean:.4f}",
                            "" if score.std is None else f"{100 * score.std:.4f}",
                        ]
                    )
    return text.getvalue()


def _grouped(rows: Iterable[Mapping[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def _table(selection: Selection, rows: Sequence[Mapping[str, Any]], variant_of: Mapping[str, str]) -> Table:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["algorithm"], row["space"], variant_of[row["run_id"]]].append(row)
    scores = {key: _scores(of_row) for key, of_row in groups.items()}
    unseen = {key: _mean_of_unseen(of_row) for key, of_row in scores.items()}
    random = next((score for key, score in unseen.items() if key[0] == "random"), None)
    made = [
        Row(
            algorithm=key[0],
            space=key[1],
            variant=key[2],
            run_ids=tuple(sorted({row["run_id"] for row in of_row})),
            seeds=tuple(sorted({row["seed"] for row in of_row})),
            trainings=len(of_row) // len(scores[key]),
            steps=tuple(sorted({row["step"] for row in of_row})),
            scores=scores[key],
            unseen=unseen[key],
            over_random=_difference(unseen[key], random) if key[0] != "random" else None,
        )
        for key, of_row in sorted(groups.items(), key=lambda item: _row_order(*item[0]))
    ]
    networks = tuple(dict.fromkeys(row["network"] for row in sorted(rows, key=lambda row: not row["seen"])))
    return Table(selection=selection, networks=networks, rows=tuple(made))


def _row_order(algorithm: str, space: str, variant: str) -> tuple[Any, ...]:
    # Numbers in a variant compare as numbers: "f 10" after "f 9".
    natural = [(float(part), "") if part[0].isdigit() else (math.inf, part) for part in _parts(variant)]
    return ALGORITHM_NAMES.index(algorithm), space_order(space), natural


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"(\d+(?:\.\d+)?)", text) if part]


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, Score]:
    scores = {}
    for (network,), of_network in _grouped(rows, "network").items():
        accuracies = [row["accuracy"] for row in of_network]
        scores[network] = Score(
            mean=statistics.fmean(accuracies),
            std=statistics.pstdev(accuracies) if len(accuracies) > 1 else None,
            seen=all(row["seen"] for row in of_network),
        )
    return scores


def _mean_of_unseen(scores: Mapping[str, Score]) -> Score | None:
    unseen = [score for score in scores.values() if not score.seen]
    if not unseen:
        return None
    deviations = [score.std for score in unseen if score.std is not None]
    return Score(
        mean=statistics.fmean(score.mean for score in unseen),
        std=statistics.fmean(deviations) if len(deviations) == len(unseen) else None,
    )


def _difference(score: Score | None, base: Score | None) -> float | None:
    return None if score is None or base is None else score.mean - base.mean
