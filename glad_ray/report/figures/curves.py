"""The figures of accuracy by latent space and of losses."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from glad_ray.report import wording
from glad_ray.report.figures.drawing import PERCENT, STYLE, figure_style, legend_columns, svg
from glad_ray.report.tables.accuracy import Row, Score, Table
from glad_ray.report.tables.identity import is_coreset, space_order
from glad_ray.results import LossCurve

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
_LEGIBLE_LINES = 9
_LOSS_POINTS = 240


def accuracy_by_space(table: Table, name: str) -> str | None:
    """Mean accuracy on unseen networks against the latent space (the paper's Figure 3), a line per algorithm.

    Baselines of as many real images are lines across. None where no algorithm has two spaces. `name` keeps the ids of
    several figures on one page apart.
    """
    rows = [row for row in table.rows if not row.is_baseline and row.unseen is not None]
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lines.setdefault((row.algorithm, row.variant), []).append(row)
    spaces = sorted({row.space for row in rows}, key=space_order)
    if len(spaces) < 2:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot()
        _baselines(axes, table)
        if len(lines) <= _LEGIBLE_LINES:
            _lines(axes, lines, spaces)
        else:
            _points(axes, rows, spaces)
        axes.set_xticks(range(len(spaces)), spaces)
        axes.set_xlim(-0.4, len(spaces) - 0.6)
        axes.set_ylabel("accuracy on unseen networks")
        axes.yaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        names = axes.get_legend_handles_labels()[1]
        width = max(6.4, 1.8 + 0.62 * len(spaces))
        columns = legend_columns(names, width)
        figure.set_size_inches(width, 3.4 + 0.2 * math.ceil(len(names) / columns))
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, handlelength=2.4, columnspacing=1.4)
        return svg(figure, name, _in_words(rows, table))


def loss_panel(curves: Sequence[LossCurve], algorithm: str, name: str, description: str) -> str:
    """Matching loss against the step, a line per curve; long curves are drawn as means of equal stretches."""
    drawn = [thinned(curve, _LOSS_POINTS) for curve in curves]
    values = [loss for _, losses in drawn for loss in losses]
    many = len(curves) > 1
    with matplotlib.rc_context(STYLE | {"font.size": 8.5}):
        figure = Figure(figsize=(2.5, 1.6))
        # A fixed place: working out a tight one takes longer than all the rest, and a page has many panels.
        axes = figure.add_axes((0.16, 0.25, 0.82, 0.7))
        for steps, losses in drawn:
            axes.plot(steps, losses, color=figure_style(algorithm).colour, linewidth=1.3, alpha=0.5 if many else 1)
        if min(values) > 0 and max(values) > 30 * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel("step")
        return svg(figure, name, description)


def _coresets(table: Table) -> list[tuple[str, Row, Score]]:
    """Baselines of as many real images, with their names and scores on the unseen networks."""
    return [
        (f"{wording.algorithm_label(row.algorithm)} {row.variant}".strip(), row, row.unseen)
        for row in table.rows
        if is_coreset(row.algorithm) and row.unseen is not None
    ]


def _baselines(axes: Axes, table: Table) -> None:
    for label, row, score in _coresets(table):
        colour, _, dashes = figure_style(row.algorithm)
        axes.axhline(100 * score.mean, color=colour, linestyle=dashes or "solid", linewidth=1.4, label=label)
        if row.algorithm == "random" and score.std:
            low, high = 100 * (score.mean - score.std), 100 * (score.mean + score.std)
            axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)


def _lines(axes: Axes, lines: dict[tuple[str, str], list[Row]], spaces: Sequence[str]) -> None:
    seen_of_algorithm: dict[str, int] = {}
    for index, ((algorithm, variant), rows) in enumerate(lines.items()):
        nth = seen_of_algorithm[algorithm] = seen_of_algorithm.get(algorithm, -1) + 1
        # Side by side, so that deviations at one space do not hide one another.
        shift = 0.05 * (index - (len(lines) - 1) / 2)
        scores = [row.unseen for row in rows if row.unseen is not None]
        axes.errorbar(
            [spaces.index(row.space) + shift for row in rows],
            [100 * score.mean for score in scores],
            yerr=[100 * (score.std or 0.0) for score in scores],
            color=figure_style(algorithm).colour,
            linestyle=_DASHES[nth % len(_DASHES)],
            marker=figure_style(algorithm).marker,
            markersize=6,
            elinewidth=1.1,
            capsize=2.5,
            label=f"{wording.algorithm_label(algorithm)} {variant}".strip(),
        )


def _points(axes: Axes, rows: Sequence[Row], spaces: Sequence[str]) -> None:
    for algorithm in dict.fromkeys(row.algorithm for row in rows):
        scored = [(spaces.index(row.space), row.unseen) for row in rows if row.algorithm == algorithm]
        axes.plot(
            [x for x, _ in scored],
            [100 * score.mean for _, score in scored if score is not None],
            color=figure_style(algorithm).colour,
            linestyle="none",
            marker=figure_style(algorithm).marker,
            markersize=6,
            alpha=0.7,
            label=f"{wording.algorithm_label(algorithm)}, every setting",
        )


def thinned(curve: LossCurve, points: int) -> tuple[list[float], list[float]]:
    """Steps and losses of a curve; of one with more points than asked for, the means of equal stretches."""
    stretch = math.ceil(len(curve.losses) / points)
    starts = range(0, len(curve.losses), stretch)
    return (
        [statistics.fmean(curve.steps[start : start + stretch]) for start in starts],
        [statistics.fmean(curve.losses[start : start + stretch]) for start in starts],
    )


def _in_words(rows: Sequence[Row], table: Table) -> str:
    said = [
        f"{wording.algorithm_label(row.algorithm)} {row.variant} {row.space} {100 * row.unseen.mean:.1f} %"
        for row in rows
        if row.unseen is not None
    ]
    said += [f"{name} {100 * score.mean:.1f} %" for name, _, score in _coresets(table)]
    return "Mean accuracy on unseen networks: " + "; ".join(said)
