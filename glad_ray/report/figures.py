"""Figures as inline SVG: text stays text, and colours follow the page's style, light or dark."""

import html
import io
import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from glad_ray.report.identity import space_order
from glad_ray.report.tables import Row, Table
from glad_ray.results import LossCurve

# Stand-ins that are drawn with, and replaced by the page's own colours in the finished SVG.
_INK, _RULE = "#010203", "#040506"
_ALGORITHM_COLOURS = {"random": "#0a0b0c", "dc": "#0d0e0f", "dm": "#101112", "mtt": "#131415"}
_STYLED = {_INK: "currentColor", _RULE: "var(--rule)"} | {
    colour: f"var(--{name})" for name, colour in _ALGORITHM_COLOURS.items()
}
_MARKERS = {"dc": "o", "dm": "s", "mtt": "^"}
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
_LEGIBLE_LINES = 9
_LOSS_POINTS = 240
# matplotlib types the keys as a closed list of names.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "the same ids every time",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _RULE,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
}


def accuracy_by_space(table: Table, name: str) -> str | None:
    """Mean accuracy on unseen networks against the latent space (the paper's Figure 3), a line per algorithm.

    None where no algorithm has two spaces. `name` keeps the ids of several figures on one page apart.
    """
    rows = [row for row in table.rows if row.algorithm != "random" and row.unseen is not None]
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        lines.setdefault((row.algorithm, row.variant), []).append(row)
    spaces = sorted({row.space for row in rows}, key=space_order)
    if len(spaces) < 2:
        return None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(layout="constrained")
        axes = figure.add_subplot()
        _baseline(axes, table)
        if len(lines) <= _LEGIBLE_LINES:
            _lines(axes, lines, spaces)
        else:
            _points(axes, rows, spaces)
        axes.set_xticks(range(len(spaces)), spaces)
        axes.set_xlim(-0.4, len(spaces) - 0.6)
        axes.set_ylabel("accuracy on unseen networks")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        names = axes.get_legend_handles_labels()[1]
        width = max(6.4, 1.8 + 0.62 * len(spaces))
        columns = _legend_columns([len(name) for name in names], width)
        figure.set_size_inches(width, 3.4 + 0.2 * math.ceil(len(names) / columns))
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, handlelength=2.4, columnspacing=1.4)
        return _svg(figure, name, _in_words(rows, table))


def loss_panel(curves: Sequence[LossCurve], algorithm: str, name: str, description: str) -> str:
    """Matching loss against the step, a line per curve; long curves are drawn as means of equal stretches."""
    drawn = [_thinned(curve) for curve in curves]
    values = [loss for _, losses in drawn for loss in losses]
    many = len(curves) > 1
    with matplotlib.rc_context(_STYLE | {"font.size": 8.5}):
        figure = Figure(figsize=(2.5, 1.6))
        # A fixed place: working out a tight one takes longer than all the rest, and a page has many panels.
        axes = figure.add_axes((0.16, 0.25, 0.82, 0.7))
        for steps, losses in drawn:
            axes.plot(steps, losses, color=_ALGORITHM_COLOURS[algorithm], linewidth=1.3, alpha=0.5 if many else 1)
        if min(values) > 0 and max(values) > 30 * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_xlabel("step")
        return _svg(figure, name, description)


def _baseline(axes: Axes, table: Table) -> None:
    random = table.random
    if random is None:
        return
    colour = _ALGORITHM_COLOURS["random"]
    axes.axhline(100 * random.mean, color=colour, linestyle=(0, (4, 3)), linewidth=1.4, label="random real images")
    if random.std:
        low, high = 100 * (random.mean - random.std), 100 * (random.mean + random.std)
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)


def _legend_columns(lengths: Sequence[int], width_inches: float) -> int:
    """As many columns as fit: all in one line, or columns as wide as the longest entry."""
    room, handle = 11 * width_inches, 6  # in characters
    if sum(lengths) + handle * len(lengths) <= room:
        return len(lengths)
    return max(1, int(room / (handle + max(lengths))))


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
            color=_ALGORITHM_COLOURS[algorithm],
            linestyle=_DASHES[nth % len(_DASHES)],
            marker=_MARKERS[algorithm],
            markersize=6,
            elinewidth=1.1,
            capsize=2.5,
            label=f"{algorithm.upper()} {variant}".strip(),
        )


def _points(axes: Axes, rows: Sequence[Row], spaces: Sequence[str]) -> None:
    for algorithm in dict.fromkeys(row.algorithm for row in rows):
        scored = [(spaces.index(row.space), row.unseen) for row in rows if row.algorithm == algorithm]
        axes.plot(
            [x for x, _ in scored],
            [100 * score.mean for _, score in scored if score is not None],
            color=_ALGORITHM_COLOURS[algorithm],
            linestyle="none",
            marker=_MARKERS[algorithm],
            markersize=6,
            alpha=0.7,
            label=f"{algorithm.upper()}, every setting",
        )


def _thinned(curve: LossCurve) -> tuple[list[float], list[float]]:
    stretch = math.ceil(len(curve.losses) / _LOSS_POINTS)
    starts = range(0, len(curve.losses), stretch)
    return (
        [statistics.fmean(curve.steps[start : start + stretch]) for start in starts],
        [statistics.fmean(curve.losses[start : start + stretch]) for start in starts],
    )


def _in_words(rows: Sequence[Row], table: Table) -> str:
    said = [
        f"{row.algorithm.upper()} {row.variant} {row.space} {100 * row.unseen.mean:.1f} %"
        for row in rows
        if row.unseen is not None
    ]
    if table.random is not None:
        said.append(f"random real images {100 * table.random.mean:.1f} %")
    return "Mean accuracy on unseen networks: " + "; ".join(said)


def _svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `svg` element that names itself to screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for stand_in, colour in _STYLED.items():
        text = text.replace(stand_in, colour)
    # Ids are unique on a page only with the figure's name before them.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    width, height = figure.get_size_inches()
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'width="{96 * width:.0f}" height="{96 * height:.0f}" viewBox="0 0 {72 * width:g} {72 * height:g}">'
        f"<title>{html.escape(description)}</title>"
    )
    return re.sub(r"<svg[^>]*>", lambda _: start, text, count=1)
