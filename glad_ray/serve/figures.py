"""Figures of a page that goes on: those of the report, drawn once, and fit for a page that allows no inline styles."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from glad_ray.errors import GladRayError
from glad_ray.progress.status import RunStatus
from glad_ray.report.figures.curves import loss_panel
from glad_ray.report.figures.drawing import STYLE, figure_style, svg
from glad_ray.results import LossCurve, read_losses
from glad_ray.serve.tensors import read_tensors
from glad_ray.storage import Storage

_KEPT = 600
_STYLE = re.compile(r' style="([^"]*)"')
_DEFINED = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)


class Figures:
    """Draws one at a time, for Matplotlib's settings are those of the process, and keeps what was drawn."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[Hashable, Markup | None] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, key: Hashable) -> bool:
        """Whether a figure is kept."""
        return key in self._drawn

    def draw(self, key: Hashable, make: Callable[[], str | None]) -> Markup | None:
        """The figure of a key, drawn if it is not kept; None where there is nothing to draw."""
        with self._lock:
            if key not in self._drawn:
                self._drawn[key] = _made(make)
                if len(self._drawn) > _KEPT:
                    self._drawn.popitem(last=False)
            self._drawn.move_to_end(key)
            return self._drawn[key]


def _made(make: Callable[[], str | None]) -> Markup | None:
    try:
        made = make()
    except Exception:  # names and numbers of strangers break Matplotlib in any way, and the page has more to show
        return None
    return None if made is None else Markup(without_styles(made))


def without_styles(figure: str) -> str:
    """An SVG with attributes in place of inline styles, which the page's content security policy does not allow."""

    def attributes(found: re.Match[str]) -> str:
        pairs = (pair.split(":", 1) for pair in found[1].split(";") if ":" in pair)
        return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)

    return _STYLE.sub(attributes, _DEFINED.sub("", figure))


def read_curve(storage: Storage, status: RunStatus) -> LossCurve | None:
    """The losses of a run so far: of one that goes on, to its last checkpoint. None: there are none, or not now."""
    run_id, checkpoint = status.run.run_id, status.entries.get("checkpoint")
    try:
        if status.distilled:
            return read_losses(storage, run_id)
        if checkpoint is None or checkpoint.step is None:
            return None
        path = storage.checkpoint_path(run_id, checkpoint.step)
        part = read_tensors(storage, path, ("losses", "loss_seconds"))
        losses, seconds = (tuple(part.tensors[name].tolist()) for name in ("losses", "loss_seconds"))
    except (GladRayError, OSError, KeyError):
        # It may be gone since: the run has a newer one by now, or has ended.
        return None
    return LossCurve(losses, seconds) if losses else None


def small_panel(curves: Sequence[LossCurve], algorithm: str, name: str, description: str) -> str | None:
    """The report's panel of losses; None where they cannot be drawn."""
    drawable = [curve for curve in curves if curve.losses]
    return loss_panel(drawable, algorithm, name, description) if drawable else None


def large_panel(curve: LossCurve, steps: int, algorithm: str, name: str, description: str) -> str | None:
    """The losses of one run, every step of them, on an axis of all its steps."""
    if not curve.losses:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 2.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curve.steps, curve.losses, color=figure_style(algorithm).colour, linewidth=1.5)
        if min(curve.losses) > 0 and max(curve.losses) > 30 * min(curve.losses):
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.set_xlim(0, max(steps, len(curve.losses)))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.set_xlabel("step")
        axes.set_ylabel("matching loss")
        return svg(figure, name, description)
