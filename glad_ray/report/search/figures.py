"""The figures of a search but for that of all its parameters: layers, importance, history, agreement, objectives."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from glad_ray.report import wording
from glad_ray.report.figures.drawing import FIRST, FULL, LAST, PAGE, PERCENT, STYLE, svg
from glad_ray.report.search.agreement import Agreement
from glad_ray.report.search.front import front, scored
from glad_ray.report.search.importance import Importance
from glad_ray.report.search.layers import Layer
from glad_ray.results import SearchTrial
from glad_ray.spec.searches.search import Objective

_WIDTH, _WIDEST = 7.4, 11.4
_GOLDEN = (math.sqrt(5) - 1) / 2
_UNITS = ((3 * 3600, "hours", 3600), (180, "minutes", 60), (0, "seconds", 1))
"""of compute: from so many seconds on"""
_FORMATS: Mapping[Objective, Callable[[float], str]] = {
    "accuracy": wording.percent,
    "seconds": wording.duration,
    "bytes": wording.size,
}
_NAMES = {"accuracy": "held-out accuracy", "seconds": "time of distilling", "bytes": "bytes of the set"}


def accuracy_by_layer(layers: Sequence[Layer], name: str) -> str:
    """Accuracy at the first rung by space, every trial and the mean with its interval; below it what came further."""
    later = any(layer.last or layer.full for layer in layers)
    with matplotlib.rc_context(STYLE):
        width = min(_WIDEST, max(6.4, 1.8 + 0.62 * len(layers)))
        figure = Figure(figsize=(width, 6.2 if later else 3.5), layout="constrained")
        upper, *lower = figure.subplots(2 if later else 1, 1, sharex=True, squeeze=False)[:, 0]
        _first_rung(upper, layers)
        for axes in lower:
            _later_accuracies(axes, layers)
        for axes in (upper, *lower):
            _percent_axis(axes)
            axes.tick_params(length=0)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.2)
        (lower or [upper])[-1].set_xticks(range(len(layers)), [layer.space for layer in layers])
        upper.set_xlim(-0.6, len(layers) - 0.4)
        said = [f"{layer.space} {_in_percent(layer.mean.mean)} of {len(layer.first)}" for layer in layers]
        return svg(figure, name, "Mean accuracy at the first rung by space: " + "; ".join(said))


def _first_rung(axes: Axes, layers: Sequence[Layer]) -> None:
    points = [(place + _aside(index), each) for place, of in enumerate(layers) for index, each in enumerate(of.first)]
    axes.plot(*_columns(points), ".", color=FIRST, alpha=0.6, markersize=5, label="a trial at the first rung")
    for place, of in enumerate(layers):
        axes.errorbar(
            place,
            100 * of.mean.mean,
            yerr=None if of.mean.half is None else 100 * of.mean.half,
            color=LAST,
            marker="o",
            markersize=6,
            capsize=4,
            label="" if place else "mean, with its 95 % interval",
        )
    _keep_in_view(axes, [each for of in layers for each in of.first])


def _later_accuracies(axes: Axes, layers: Sequence[Layer]) -> None:
    kinds = (("last rung", "o", LAST, -0.14, "last"), ("evaluated in full", "D", FULL, 0.14, "full"))
    for label, marker, colour, shift, field in kinds:
        points = [
            (place + shift + _aside(index) / 4, each)
            for place, of in enumerate(layers)
            for index, each in enumerate(getattr(of, field))
        ]
        if points:
            axes.plot(*_columns(points), marker, color=colour, alpha=0.75, markersize=5, label=label)


def importance_bars(found: Importance, name: str) -> str:
    """By how many points the error grows without each parameter, the most important on top."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.36 * len(found.parameters)), layout="constrained")
        axes = figure.add_subplot()
        titles = [parameter.title for parameter, _, _ in found.parameters]
        means = [100 * growth for _, growth, _ in found.parameters]
        deviations = [100 * deviation for _, _, deviation in found.parameters]
        axes.barh(range(len(titles)), means, color=LAST, height=0.55)
        axes.errorbar(
            means, range(len(titles)), xerr=deviations, color=FULL, linestyle="none", elinewidth=1.4, capsize=2.5
        )
        axes.set_yticks(range(len(titles)), titles)
        axes.invert_yaxis()
        axes.set_xlabel("growth of the error, points of accuracy")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        said = [f"{title} {mean:.2f}" for title, mean in zip(titles, means, strict=True)]
        return svg(figure, name, "Importance in points of accuracy: " + "; ".join(said))


def history(trials: Sequence[SearchTrial], name: str) -> str:
    """Every trial's best accuracy at a rung against the compute of all trials up to it."""
    seconds = list(itertools.accumulate(trial.seconds for trial in trials))
    unit, scale = next((unit, scale) for least, unit, scale in _UNITS if seconds[-1] >= least)
    seen = [(each / scale, trial) for each, trial in zip(seconds, trials, strict=True) if trial.rung_accuracies]
    best = list(itertools.accumulate((max(trial.rung_accuracies) for _, trial in seen), max))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
        axes = figure.add_subplot()
        so_far = [(spent, each) for (spent, _), each in zip(seen, best, strict=True)]
        axes.plot(*_columns(so_far), color=FULL, linewidth=1.4, drawstyle="steps-post", label="best so far")
        kinds = (
            ("complete", "complete", "o", LAST, LAST),
            ("stopped", "stopped", "o", FIRST, PAGE),
            ("running", "under way", "^", LAST, PAGE),
            ("failed", "failed", "x", FIRST, FIRST),
        )
        for state, label, marker, edge, face in kinds:
            points = [(spent, max(trial.rung_accuracies)) for spent, trial in seen if trial.state == state]
            if points:
                axes.plot(*_columns(points), marker, color=edge, markerfacecolor=face, markersize=5, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit} of compute on this trial and all before it")
        _percent_axis(axes)
        axes.tick_params(length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, borderaxespad=0.2)
        return svg(
            figure, name, f"Best at a rung so far: {_in_percent(best[-1])} after {wording.duration(seconds[-1])}"
        )


def rung_scatter(found: Agreement, name: str) -> str:
    """Accuracy in full against that at a rung, a mark per trial."""
    with matplotlib.rc_context(STYLE | {"font.size": 8.5}):
        figure = Figure(figsize=(2.6, 2.3), layout="constrained")
        axes = figure.add_subplot()
        for label, control, face in (("finalist", False, FULL), ("control", True, PAGE)):
            points = [(100 * pair.at_rung, pair.later) for pair in found.pairs if pair.control is control]
            if points:
                axes.plot(*_columns(points), "D", color=FULL, markerfacecolor=face, markersize=5, label=label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PERCENT)
            axis.set_major_locator(MaxNLocator(nbins=4))
        axes.set_xlabel(f"rung {found.rung + 1}")
        axes.set_ylabel("in full")
        axes.margins(0.12)
        axes.grid()
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        said = [f"{_in_percent(pair.at_rung)}, {_in_percent(pair.later)}" for pair in found.pairs]
        return svg(figure, name, f"Accuracy at rung {found.rung + 1} and in full: " + "; ".join(said))


def objectives_figure(trials: Sequence[SearchTrial], objectives: Sequence[Objective], name: str) -> str:
    """The first objective against every other, those that no other trial beats joined."""
    every, unbeaten = scored(trials, objectives), front(trials, objectives)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * (len(objectives) - 1) + 0.6, 3.5), layout="constrained")
        panels = figure.subplots(1, len(objectives) - 1, sharey=True, squeeze=False)[0]
        for other, axes in enumerate(panels, 1):
            for points, style in ((every, {"color": FIRST, "alpha": 0.6}), (unbeaten, {"color": FULL})):
                axes.plot(
                    [trial.values[other] for trial in points],
                    [trial.values[0] for trial in points],
                    ".",
                    markersize=9,
                    **style,
                    label="beaten by none" if points is unbeaten else "a trial",
                )
            axes.xaxis.set_major_formatter(_formatter(objectives[other]))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.yaxis.set_major_formatter(_formatter(objectives[0]))
            axes.set_xlabel(_NAMES[objectives[other]])
            axes.grid()
            axes.set_axisbelow(True)
            axes.tick_params(length=0)
        panels[0].set_ylabel(_NAMES[objectives[0]])
        panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2)
        said = [", ".join(objective_values(trial, objectives)) for trial in unbeaten]
        return svg(figure, name, "Trials that no other beats in all objectives: " + "; ".join(said))


def objective_values(trial: SearchTrial, objectives: Sequence[Objective]) -> list[str]:
    """What a trial has of each objective, in words: `64.3`, `12 min 3 s`, `7.8 kB`."""
    return [_FORMATS[objective](value) for objective, value in zip(objectives, trial.values, strict=True)]


def _formatter(objective: Objective) -> FuncFormatter:
    unit = " %" if objective == "accuracy" else ""
    return FuncFormatter(lambda value, _: _FORMATS[objective](max(0.0, value)) + unit)


def _percent_axis(axes: Axes) -> None:
    axes.set_ylabel("held-out accuracy")
    axes.yaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def _keep_in_view(axes: Axes, accuracies: Sequence[float]) -> None:
    """Intervals of two or three trials can be wider than all accuracies together: they are cut at the edge."""
    low, high = 100 * min(accuracies), 100 * max(accuracies)
    room = 0.25 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Abscissas, and accuracies in percent."""
    return [x for x, _ in points], [100 * accuracy for _, accuracy in points]


def _aside(index: int) -> float:
    """Spread evenly over half a unit, the same every time, so that like accuracies do not hide one another."""
    return 0.5 * ((index * _GOLDEN + 0.5) % 1 - 0.5)


def _in_percent(share: float) -> str:
    return f"{wording.percent(share)} %"
