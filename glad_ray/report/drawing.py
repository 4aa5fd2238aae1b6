"""How figures are drawn: inline SVG whose text stays text, and whose colours follow the page's style, light or dark."""

import html
import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Stand-ins that are drawn with, and replaced by the page's own colours in the finished SVG.
_INK, _RULE = "#010203", "#040506"
PAGE = "#222324"
"""the colour of the page, for hollow markers"""
COLOURS = {
    "random": "#0a0b0c",
    "herding": "#16171a",
    "kmeans": "#191a1b",
    "dc": "#0d0e0f",
    "dm": "#101112",
    "mtt": "#131415",
    "whole": "#1c1d1e",
}
"""of the algorithms"""
FIRST, LAST, FULL = "#1d1e1f", "#202122", "#252627"
"""of a trial's accuracies: at its first rung, at the last rung, in full"""
RAMP = tuple(f"#3031{level:02x}" for level in range(9))
"""from low to high"""
_STYLED = (
    {_INK: "currentColor", _RULE: "var(--rule)", PAGE: "var(--page)"}
    | {FIRST: "var(--rung-first)", LAST: "var(--rung-last)", FULL: "var(--in-full)"}
    | {colour: f"var(--{name})" for name, colour in COLOURS.items()}
    | {
        colour: f"color-mix(in oklab, var(--ramp-high) {100 * level / (len(RAMP) - 1):g}%, var(--ramp-low))"
        for level, colour in enumerate(RAMP)
    }
)
MARKERS = {"dc": "o", "dm": "s", "mtt": "^"}
BASELINE_DASHES: dict[str, Any] = {"random": (0, (4, 3)), "herding": (0, (1, 1.5)), "kmeans": (0, (6, 2, 1, 2))}
PERCENT = FuncFormatter(lambda value, _: f"{value:g} %")
# matplotlib types the keys as a closed list of names.
STYLE: dict[Any, Any] = {
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


def legend_columns(names: Sequence[str], width_inches: float) -> int:
    """As many columns as fit: all in one line, or columns as wide as the longest entry."""
    lengths = [len(name) for name in names]
    room, handle = 13 * width_inches, 6  # in characters
    if sum(lengths) + handle * len(lengths) <= room:
        return len(lengths)
    return max(1, int(room / (handle + max(lengths))))


def svg(figure: Figure, name: str, description: str) -> str:
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
