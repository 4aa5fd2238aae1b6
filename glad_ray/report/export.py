"""The report's tables as CSV: every number of the page, and those it leaves out; accuracies in percent."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from glad_ray.report.published.comparison import Comparison
from glad_ray.report.tables.accuracy import Row, Section
from glad_ray.report.tables.intervals import Interval
from glad_ray.report.tables.orders import Orders
from glad_ray.report.tables.ranking import Ranked

_PLACE = ("dataset", "resolution", "ipc", "evaluation_id")
_ROW = ("algorithm", "space", "variant", "regime", "labels", "augmentation", "epochs")
_UNSEEN = "mean of unseen"


def accuracies_csv(sections: Iterable[Section]) -> str:
    """A line per cell of the tables, and one per mean over the unseen networks."""
    columns = (
        *_PLACE, "selection", *_ROW, "set_bytes", "generator_bytes", "seeds", "trainings", "steps", "network", "seen",
        "accuracy_percent", "std_percent", "interval_low_percent", "interval_high_percent",
    )  # fmt: skip
    return as_csv(
        columns,
        (
            (
                *_place(section, row),
                table.selection,
                *_of(row),
                row.set_bytes,
                row.generator_bytes,
                len(row.seeds),
                row.trainings,
                " ".join(map(str, row.steps)),
                network,
                "yes" if score.seen else "no",
                in_percent(score.mean),
                in_percent(score.std),
                *_ends(row.interval(None if network == _UNSEEN else network)),
            )
            for section in sections
            for table in section.tables
            for row in table.rows
            for network, score in [*row.scores.items(), *([(_UNSEEN, row.unseen)] if row.unseen else [])]
        ),
    )


def published_csv(compared: Iterable[tuple[Section, Sequence[Comparison]]]) -> str:
    """A line per result that has a published number."""
    columns = (
        *_PLACE, "selection", *_ROW, "trainings", "network", "accuracy_percent", "std_percent", "published_percent",
        "published_std_percent", "difference_points", "combined_deviations", "source", "table", "note",
        "not_stated",
    )  # fmt: skip
    return as_csv(
        columns,
        (
            (
                *_place(section, one.row),
                one.selection,
                *_of(one.row),
                one.row.trainings,
                one.network,
                in_percent(one.ours.mean),
                in_percent(one.ours.std),
                in_percent(one.published.score.mean),
                in_percent(one.published.score.std),
                in_percent(one.difference),
                "" if one.deviations is None else f"{one.deviations:.4f}",
                one.published.source,
                one.published.table,
                one.published.note,
                one.unstated,
            )
            for section, of_section in compared
            for one in of_section
        ),
    )


def scores_csv(scored: Iterable[tuple[Section, Sequence[Ranked]]]) -> str:
    """A line per distilled row and network with its scores of DD-Ranking, as far as they can be told."""
    columns = (*_PLACE, *_ROW, "network", "hlr_points", "ior_points", "lrs", "ars")
    return as_csv(
        columns,
        (
            (
                *_place(section, one.row),
                *_of(one.row),
                one.network or _UNSEEN,
                in_percent(one.hlr),
                in_percent(one.ior),
                "" if one.lrs is None else f"{one.lrs:.6f}",
                "" if one.ars is None else f"{one.ars:.6f}",
            )
            for section, of_section in scored
            for one in of_section
        ),
    )


def orders_csv(orders: Iterable[Orders]) -> str:
    """A line per two evaluations of different regimes, with Kendall's tau of the order of methods."""
    columns = (
        "dataset", "resolution", "ipc", "evaluation_id", "regime", "other_evaluation_id", "other_regime", "methods",
        "kendall_tau",
    )  # fmt: skip
    return as_csv(
        columns,
        (
            (
                *of.place,
                one.evaluation_ids[0],
                one.regimes[0],
                one.evaluation_ids[1],
                one.regimes[1],
                one.methods,
                "" if one.tau is None else f"{one.tau:.6f}",
            )
            for of in orders
            for one in of.agreements
        ),
    )


def _place(section: Section, row: Row) -> tuple[Any, ...]:
    return section.dataset, section.resolution, row.ipc, section.evaluation_id


def _of(row: Row) -> tuple[Any, ...]:
    return (
        row.algorithm,
        row.space,
        row.variant,
        row.conditions.regime,
        row.conditions.labels,
        row.conditions.augmentation,
        row.conditions.epochs,
    )


def _ends(of_seeds: Interval | None) -> tuple[str, str]:
    """The ends of an interval over seeds; empty of a single seed."""
    return ("", "") if of_seeds is None else (in_percent(of_seeds.low), in_percent(of_seeds.high))


def in_percent(share: float | None) -> str:
    """`64.3210` of 0.64321; empty of nothing."""
    return "" if share is None else f"{100 * share:.4f}"


def as_csv(columns: Sequence[str], lines: Iterable[tuple[Any, ...]]) -> str:
    """A table with a header; what stands in it twice is there once."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    # The whole dataset stands in several sections, with one and the same line.
    writer.writerows(dict.fromkeys(lines))
    return text.getvalue()
