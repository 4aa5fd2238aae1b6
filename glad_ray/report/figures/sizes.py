"""The figure of accuracy against bytes."""

import math
from collections import Counter
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from glad_ray.report import wording
from glad_ray.report.figures.drawing import PAGE, PERCENT, STYLE, figure_style, legend_columns, svg
from glad_ray.report.tables.accuracy import Row
from glad_ray.report.tables.sizes import Sizes
from glad_ray.spec.algorithms import algorithm_order

_WIDTH = 7.4


def accuracy_by_bytes(sizes: Sizes, name: str) -> str:
    """Accuracy against the bytes of set and generator: lines of baselines, a mark per distilled set.

    Hollow marks are pixels, filled ones latents. `name` keeps the ids of several figures on one page apart.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot()
        for label, rows in _groups(sizes.rows).items():
            _draw(axes, label, rows)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.size(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        axes.set_xlabel("bytes of set and generator")
        axes.set_ylabel("accuracy on unseen networks" if sizes.of_unseen else "accuracy of the backbone")
        axes.grid(axis="y")
        axes.tick_params(length=0, which="both")
        axes.set_axisbelow(True)
        names = axes.get_legend_handles_labels()[1]
        columns = legend_columns(names, _WIDTH)
        figure.set_size_inches(_WIDTH, 3.8 + 0.2 * math.ceil(len(names) / columns))
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, handlelength=2.4, columnspacing=1.4)
        return svg(figure, name, _in_words(sizes))


def _groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by what the legend calls them, in the order of tables."""
    kinds = {row.run_ids: _kind(row, rows) for row in rows}
    numbers = Counter((kinds[row.run_ids], row.ipc) for row in rows if row.is_baseline)
    several = {kind for (kind, _), number in numbers.items() if number > 1}
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: algorithm_order(row.algorithm)):
        kind = kinds[row.run_ids]
        groups.setdefault(f"{kind}, {row.variant}" if kind in several else kind, []).append(row)
    return groups


def _kind(row: Row, rows: Sequence[Row]) -> str:
    """What a mark or a line stands for; settings of distilled sets are told in the table only."""
    whitened = [] if row.conditions.whitening is None else ["whitened"]
    if not row.is_baseline:
        latents = "pixels" if row.space == "pixel" else "latents"
        return ", ".join([f"{wording.algorithm_label(row.algorithm)} {latents}", *whitened])
    said = [wording.algorithm_label(row.algorithm)]
    if len({other.conditions.labels for other in rows if other.is_baseline}) > 1:
        said.append(f"labels: {wording.LABELS[row.conditions.labels]}")
    if len({other.conditions.augmentation for other in rows}) > 1:
        said.append(wording.augmentation(row.conditions.augmentation))
    return ", ".join([*said, *whitened])


def _draw(axes: Axes, label: str, rows: list[Row]) -> None:
    style = figure_style(rows[0].algorithm)
    whole = rows[0].ipc is None
    scores = [row.headline for row in rows if row.headline is not None]
    axes.errorbar(
        [row.total_bytes for row in rows],
        [100 * score.mean for score in scores],
        yerr=[100 * (score.std or 0.0) for score in scores],
        color=style.colour,
        linestyle=style.dashes or "none",
        linewidth=1.4,
        marker=style.marker,
        markersize=10 if whole else 6,
        markerfacecolor=PAGE if not rows[0].is_baseline and rows[0].space == "pixel" else style.colour,
        elinewidth=1.0,
        capsize=2.0,
        label=label,
    )


def _in_words(sizes: Sizes) -> str:
    said = [
        f"{wording.run_name(row.algorithm, row.space)} {row.variant} {wording.size(row.total_bytes)} "
        f"{wording.percent(row.headline.mean)} %"
        for row in sizes.rows
        if row.headline is not None
    ]
    return "Accuracy against bytes: " + "; ".join(said)
