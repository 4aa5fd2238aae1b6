"""Metrics beside accuracy as tables of a section: a row for each row of its accuracies, at the last step."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report.tables.accuracy import Row, Score, Section, headline, natural_order, scores_of
from glad_ray.results.table import METRIC
from glad_ray.spec.metrics import Metric, metric_of


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """A metric that gives several numbers, each of which is a column; or all those together that give one."""

    columns: tuple[tuple[Metric, str], ...]
    """the metric of each, and which of its numbers; empty: it gives one"""
    rows: tuple[tuple[Row, tuple[Score | None, ...]], ...]
    """the mean over the networks that did not distil, or the backbone's number where there are none; None: no number"""

    @property
    def several(self) -> Metric | None:
        """The metric that gives several numbers; None: these are those that give one each."""
        metric, part = self.columns[0]
        return metric if part else None


def metric_tables(sections: Sequence[Section], rows: Sequence[Mapping[str, Any]]) -> list[tuple[MetricTable, ...]]:
    """The tables of each section, of all rows of results; none where its evaluation has no metrics."""
    columns = [name for name in (rows[0] if rows else ()) if name.startswith(METRIC)]
    of_run: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows if columns else ():
        if row["selection"] == "last":
            of_run[row["run_id"], row["evaluation_id"]].append(row)
    return [_tables(section, sorted(columns, key=natural_order), of_run) for section in sections]


def _tables(
    section: Section, columns: Sequence[str], of_run: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
) -> tuple[MetricTable, ...]:
    scores: dict[str, list[Score | None]] = {}
    for column in columns:
        of_rows = []
        for row in section.rows:
            trained = [each for run_id in row.run_ids for each in of_run.get((run_id, section.evaluation_id), ())]
            of_rows.append(headline(scores_of([each for each in trained if each[column] is not None], column)))
        if any(of_rows):
            scores[column] = of_rows
    together: dict[str, list[str]] = defaultdict(list)
    for column in scores:
        name, part = _parsed(column)
        together[name if part else ""].append(column)
    return tuple(
        MetricTable(
            columns=tuple((metric_of(name), part) for name, part in map(_parsed, those)),
            rows=tuple(zip(section.rows, zip(*(scores[column] for column in those), strict=True), strict=True)),
        )
        for _, those in sorted(together.items())
    )


def _parsed(column: str) -> tuple[str, str]:
    """The name of a metric, and which of its numbers a column has; empty: it gives one."""
    text = column.removeprefix(METRIC)
    # The module of one of a user's has dots of its own.
    name, _, part = text[text.find(":") + 1 :].partition(".")
    return text[: text.find(":") + 1] + name, part
