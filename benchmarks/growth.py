"""How time and memory of a step of each algorithm, and of an evaluation, grow with images, pixels and steps of the
student; and the memory of a machine with the trials on it.

    python benchmarks/growth.py --output docs/results   # in under 12 minutes on two cores
    python benchmarks/growth.py --small                 # does everything run? measures nothing

Every size has a process of its own and one thread. Exponents are the slopes of straight lines through the logarithms of
the upper half of the sizes. --output writes growth.md and its pictures to a folder.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from gpu_checks import report
from growth_points import CPU, EVALUATION, IMPORTED, PIECES, STEPS, Size, Taken, measure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, NullLocator
from own_process import fresh

from glad_ray.algorithms.mtt import GRAPH_BYTES
from glad_ray.results import package_versions
from glad_ray.spec.algorithms import algorithm_kind

if TYPE_CHECKING:
    from growth_trials import Memory

_MIB = 2**20
_TOLERANCE = 0.15
"""above what is expected of an exponent, from which on it is marked"""
_STYLES = {EVALUATION: ("0.35", "D", "-"), "MTT (exact)": (algorithm_kind("mtt").figure_style.light, "v", "--")}
_QUANTITIES = {
    "seconds": ("CPU seconds", 1.0),
    "peak_bytes": ("peak memory above start, MiB", _MIB),
    "saved_bytes": ("saved by graphs, MiB", _MIB),
}
"""fields of `Taken`, with their titles and units"""


class Axis(NamedTuple):
    """Something that grows."""

    title: str
    field: str
    """of `Size`"""
    values: tuple[int, ...]
    small: tuple[int, ...]
    pieces: Sequence[str]
    expected: int
    """an exponent that nothing should exceed"""


AXES = (
    Axis("images per class", "images_per_class", (1, 2, 5, 10, 20, 50), (1, 2), PIECES, 1),
    Axis("resolution", "resolution", (32, 64, 96, 128), (16, 32), PIECES, 2),
    Axis(
        "steps of the student (N)",
        "student_steps",
        (1, 2, 5, 10, 20, 50),
        (1, 2),
        [piece for piece in STEPS if "MTT" in piece],
        1,
    ),
)
_TRIALS = (2, 4, 6)
Series = Mapping[str, Mapping[int, Taken]]
"""by piece and size"""


def main() -> int:
    """Measure, print the page, write it where asked; returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="an existing folder for growth.md and its pictures")
    parser.add_argument("--small", action="store_true", help="sizes that measure nothing, and no trials")
    chosen = parser.parse_args()
    if chosen.output is not None and not chosen.output.is_dir():
        print(f"No folder {chosen.output} for the page: make it first.", file=sys.stderr)
        return 2
    trials = [] if chosen.small else _trials()
    measured = {axis.title: measure_axis(axis, small=chosen.small) for axis in AXES}
    page = as_page(measured, trials, time.monotonic() - began, small=chosen.small)
    print(page)
    if chosen.output is not None:
        (chosen.output / "growth.md").write_text(page)
        draw(measured).savefig(chosen.output / "growth.png", dpi=100)
        if trials:
            draw_trials(trials).savefig(chosen.output / "growth_trials.png", dpi=100)
    return 0


def _trials() -> list["Memory"]:
    # It imports Ray, which processes that measure sizes need not.
    from growth_trials import measure_trials

    return measure_trials(_TRIALS)


def measure_axis(axis: Axis, *, small: bool) -> Series:
    """All pieces at all sizes of an axis."""
    base = Size(width=4, real_images=2, repeated_seconds=0) if small else Size()
    found: dict[str, dict[int, Taken]] = {piece: {} for piece in axis.pieces}
    for piece, taken in found.items():
        for value in axis.small if small else axis.values:
            size = Size(**{**vars(base), axis.field: value})
            taken[value] = Taken(*fresh(1, measure, piece, size, imported=IMPORTED))
        told = ", ".join(f"{value}: {each.seconds:.3g} s" for value, each in taken.items())
        print(f"{axis.title}, {piece}: {told}", file=sys.stderr, flush=True)
    return found


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the line through the logarithms of the upper half of the sizes; NaN where one is not positive."""
    middle = math.sqrt(min(sizes) * max(sizes))
    upper = [(size, value) for size, value in zip(sizes, values, strict=True) if size >= middle]
    upper = upper if len(upper) > 1 else list(zip(sizes, values, strict=True))
    if any(value <= 0 for _, value in upper):
        return math.nan
    x, y = np.log(np.asarray(upper)).T
    return float(np.polyfit(x, y, 1)[0])


def exponents(taken: Mapping[int, Taken]) -> tuple[float, ...]:
    """Of seconds, peak and saved bytes."""
    return tuple(exponent(list(taken), [each[number] for each in taken.values()]) for number in range(len(_QUANTITIES)))


def as_page(measured: Mapping[str, Series], trials: Sequence["Memory"], seconds: float, *, small: bool) -> str:
    """The numbers with what they mean; without the paths of this machine."""
    facts = {**report.machine(CPU), **package_versions(), "commit": report.commit()}
    rows = [report.line("", ""), report.line("---", "---")]
    rows += [report.line(fact, report.shown(value)) for fact, value in facts.items()]
    return _PAGE.format(
        minutes=seconds / 60,
        command="--small  # sizes that measure nothing" if small else "--output docs/results",
        facts="\n".join(rows),
        exponents=exponents_table(measured),
        sizes="\n\n".join(sizes_table(axis, measured[axis.title]) for axis in AXES),
        trials=trials_part(trials),
        tolerance=_TOLERANCE,
        graph_gib=GRAPH_BYTES / 2**30,
    )


def exponents_table(measured: Mapping[str, Series]) -> str:
    """Exponents of every axis and piece; those above what is expected are marked."""
    lines = [report.line("grows", "piece", "time", "peak memory", "saved by graphs", "expected at most")]
    lines.append(report.line("---", "---", "---:", "---:", "---:", "---"))
    for axis in AXES:
        for piece, taken in measured[axis.title].items():
            cells = [
                f"**{found:.2f}**" if found > axis.expected + _TOLERANCE else f"{found:.2f}"
                for found in exponents(taken)
            ]
            lines.append(report.line(axis.title, piece, *cells, str(axis.expected)))
    return "\n".join(lines)


def sizes_table(axis: Axis, series: Series) -> str:
    """CPU seconds, peak and saved MiB at every size of an axis."""
    values = list(next(iter(series.values())))
    lines = [report.line(axis.title, *map(str, values)), report.line("---", *("---:" for _ in values))]
    for piece, taken in series.items():
        cells = [
            f"{report.shown(each.seconds)} s, {each.peak_bytes / _MIB:.0f}, {each.saved_bytes / _MIB:.0f}"
            for each in taken.values()
        ]
        lines.append(report.line(piece, *cells))
    return "\n".join(lines)


def trials_part(trials: Sequence["Memory"]) -> str:
    """Memory of a machine, and what a trial more takes."""
    if not trials:
        return "Trials at once were not measured."
    added = np.polyfit([each.trials for each in trials], [each.machine for each in trials], 1)[0]
    lines = [report.line("trials", "all processes, MiB", "a trial, MiB"), report.line("---:", "---:", "---:")]
    lines += [report.line(str(each.trials), f"{each.machine:,.0f}", f"{each.trial:,.0f}") for each in trials]
    return "\n".join(
        [
            *lines,
            "",
            f"A trial more takes {added:,.0f} MiB, other processes of Ray among it (slope of a line through these).",
            "",
            _TRIALS_PICTURE,
        ]
    )


def draw(measured: Mapping[str, Series]) -> Figure:
    """A column for every axis, a row for every quantity, both scales logarithmic."""
    drawn = Figure(figsize=(11, 9), layout="constrained")
    panels = drawn.subplots(len(_QUANTITIES), len(AXES), sharex="col")
    for column, axis in enumerate(AXES):
        for row, (title, unit) in enumerate(_QUANTITIES.values()):
            panel: Axes = panels[row, column]
            for piece, taken in measured[axis.title].items():
                colour, marker, dashes = _style(piece)
                values = [each[row] / unit for each in taken.values()]
                label = f"{piece} ({exponents(taken)[row]:.2f})"
                panel.plot(list(taken), values, dashes, marker=marker, color=colour, label=label, markersize=5)
            sizes = list(next(iter(measured[axis.title].values())))
            panel.set(xscale="log", yscale="log", ylabel=title if column == 0 else "")
            panel.set_xticks(sizes, map(str, sizes))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.grid(color="0.9")
            panel.legend(fontsize=7, frameon=False)
            panel.spines[["top", "right"]].set_visible(False)
        panels[-1, column].set_xlabel(axis.title)
    return drawn


def draw_trials(trials: Sequence["Memory"]) -> Figure:
    """Memory of a machine against its trials."""
    drawn = Figure(figsize=(4.6, 3.2), layout="constrained")
    panel = drawn.subplots()
    panel.plot([each.trials for each in trials], [each.machine for each in trials], "o-", label="all processes")
    panel.plot([each.trials for each in trials], [each.trial for each in trials], "s-", label="a trial")
    panel.set(xlabel="trials at once", ylabel="MiB", ylim=(0, None), xticks=[each.trials for each in trials])
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    return drawn


def _style(piece: str) -> tuple[str, str, str]:
    """Colour, marker and dashes, as reports have them for algorithms."""
    if piece in _STYLES:
        return _STYLES[piece]
    style = algorithm_kind(piece.split()[0].lower()).figure_style
    return style.light, style.marker, "-"


_TRIALS_PICTURE = "![Memory against trials](growth_trials.png)"
_PAGE = """\
# How time and memory grow

Written in {minutes:.0f} minutes by

    python benchmarks/growth.py {command}

{facts}

A size has a process of its own and one thread. A step is the matching of synthetic images in pixels, an evaluation one
epoch of training. Time is CPU seconds, user and system, the median of up to five. Peak memory is that of the process
above what it had before the first step. What graphs save is added up over all graphs of a step, whether they are there
at once or not. Images are random, of ten classes and three channels; networks are ConvNets of 16 channels, of the depth
that is standard at the resolution (3 blocks at 32 pixels, 5 at 128); DC and DM see 16 real images a class. What does
not grow is as small as this: one image a class, 32 pixels, N of 2. Which augmentation a step draws follows from the
run, and so differs from size to size.

## Exponents

Slopes of straight lines through the logarithms of the upper half of the sizes. At most 1 is expected in images and in
N, and 2 in the side of the images. Less is usual: DC and DM have the same real images at every size, a small step is
mostly calls from Python, an epoch of evaluation has batches of at most 256 images in memory at once, and MTT keeps the
graphs of the student's steps up to {graph_gib:g} GiB and makes others again. More than {tolerance:g} above is in bold.

{exponents}

![Time and memory against what grows, with exponents in brackets](growth.png)

## Sizes

In every cell CPU seconds, MiB at the peak, MiB saved by graphs.

{sizes}

## Trials at once

Half of the trials are DM through a generator that one replica holds for all of them, half MTT with experts that one
store maps; proportional set sizes, for which a page that n processes map counts 1/n in each, when all have made steps.

{trials}
"""


if __name__ == "__main__":
    sys.exit(main())
