"""The figure of all parameters: an axis each, a line per trial, the stronger the better it was at the first rung."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glad_ray.report import wording
from glad_ray.report.figures.drawing import PAGE, RAMP, STYLE, svg
from glad_ray.report.search.parameters import Parameter, shown
from glad_ray.results import SearchTrial

_ABSENT = -0.14
_ROOMY, _TIGHT, _PAGE_WIDTH = 1.7, 1.15, 11.4
"""inches an axis, where there is room for it and where there is not; and of the page"""
_LABEL = {"facecolor": PAGE, "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
_TICKS = 5


def parallel_coordinates(trials: Sequence[SearchTrial], parameters: Sequence[Parameter], name: str) -> str:
    """Every trial that was evaluated, the better ones over the others."""
    seen = sorted((trial for trial in trials if trial.rung_accuracies), key=lambda trial: trial.rung_accuracies[0])
    low, high = seen[0].rung_accuracies[0], seen[-1].rung_accuracies[0]
    tallest = max(len(parameter.choices) for parameter in parameters)
    with matplotlib.rc_context(STYLE | {"font.size": 8.5}):
        width = 1 + max(_TIGHT * len(parameters), min(_ROOMY * len(parameters), _PAGE_WIDTH - 1))
        figure = Figure(figsize=(width, max(3.6, 1.4 + 0.18 * tallest)))
        axes = figure.add_axes((0.03, 0.03, 0.91, 0.83))
        for trial in seen:
            share = 0.5 if high == low else (trial.rung_accuracies[0] - low) / (high - low)
            heights = [_height(parameter, trial) for parameter in parameters]
            axes.plot(
                range(len(parameters) + 1),
                [*heights, share],
                color=RAMP[round(share * (len(RAMP) - 1))],
                linewidth=0.5 + 1.5 * share**2,
                alpha=0.4 + 0.6 * share**2,
            )
        for place, parameter in enumerate(parameters):
            absent = any(parameter.place(trial) is None for trial in seen)
            _axis(axes, place, parameter.title, [*_ticks(parameter), *([(_ABSENT, "none")] if absent else [])])
        ends = [(0.0, low), (1.0, high)] if high > low else [(0.5, low)]
        labels = [(height, f"{wording.percent(accuracy)} %") for height, accuracy in ends]
        _axis(axes, len(parameters), "accuracy at\nthe first rung", labels)
        axes.set_xlim(-0.05, len(parameters) + 0.05)
        axes.set_ylim(_ABSENT - 0.06, 1.04)
        axes.set_axis_off()
        best = ", ".join(f"{each.title} {_drawn(each, seen[-1])}" for each in parameters)
        said = f"Parameters and accuracy of {wording.counted(len(seen), 'trial')}; the best at the first rung: {best}"
        return svg(figure, name, said)


def _height(parameter: Parameter, trial: SearchTrial) -> float:
    place = parameter.place(trial)
    return _ABSENT if place is None else place


def _axis(axes: Axes, place: int, title: str, labels: Sequence[tuple[float, str]]) -> None:
    axes.plot([place, place], [0, 1], color=matplotlib.rcParams["text.color"], linewidth=0.8)
    axes.text(place, 1.06, title.replace(" of ", "\nof "), ha="center", va="bottom", clip_on=False)
    for height, label in labels:
        axes.plot(place, height, "_", color=matplotlib.rcParams["text.color"], markersize=5)
        axes.text(place + 0.04, height, label, va="center", fontsize=7.5, bbox=_LABEL, clip_on=False)


def _ticks(parameter: Parameter) -> list[tuple[float, str]]:
    """Where an axis is labelled: at every choice; at the ends and, of few orders of magnitude, at powers of ten."""
    if parameter.ends is None:
        number = len(parameter.choices)
        return [(0.5 if number == 1 else i / (number - 1), shown(each)) for i, each in enumerate(parameter.choices)]
    low, high = parameter.ends
    if parameter.log:
        powers = [10.0**power for power in range(-12, 13) if 1.5 * low < 10.0**power < high / 1.5]
        inner = powers[:: 1 + len(powers) // _TICKS]
    else:
        room = 0.06 * (high - low)
        inner = [float(tick) for tick in MaxNLocator(_TICKS).tick_values(low, high) if low + room < tick < high - room]
    return [(parameter.at(number), f"{number:g}") for number in dict.fromkeys((low, *inner, high))]


def _drawn(parameter: Parameter, trial: SearchTrial) -> str:
    return shown(trial.parameters[parameter.name]) if parameter.name in trial.parameters else "none"
