"""How figures are drawn: inline SVG whose text stays text, and whose colours follow the page's style, light or dark."""

import html
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from glad_ray.spec.algorithms import ALGORITHM_NAMES, algorithm_kind
from glad_ray.spec.algorithms.custom import CustomAlgorithm

# Stand-ins that are drawn with, and replaced by the page's own colours in the finished SVG.
_INK, _RULE = "#010203", "#040506"
PAGE = "#222324"
"""the colour of the page, for hollow markers"""
_CUSTOM = "custom"
"""what pages call the algorithms of users, which have one colour"""
_STAND_INS = {name: f"#0a0b{number:02x}" for number, name in enumerate((*ALGORITHM_NAMES, _CUSTOM))}
"""of the algorithms"""
FIRST, LAST, FULL = "#1d1e1f", "#202122", "#252627"
"""of a trial's accuracies: at its first rung, at the last rung, in full"""
RAMP = tuple(f"#3031{level:02x}" for level in range(9))
"""from low to high"""
_STYLED = (
    {_INK: "currentColor", _RULE: "var(--rule)", PAGE: "var(--page)"}
    | {FIRST: "var(--rung-first)", LAST: "var(--rung-last)", FULL: "var(--in-full)"}
    | {colour: f"var(--{name})" for name, colour in _STAND_INS.items()}
    | {
        colour: f"color-mix(in oklab, var(--ramp-high) {100 * level / (len(RAMP) - 1):g}%, var(--ramp-low))"
        for level, colour in enumerate(RAMP)
    }
)
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


class Drawn(NamedTuple):
    """How an algorithm is drawn in a figure."""

    colour: str
    """a stand-in for the page's own"""
    marker: str
    dashes: Any


def figure_style(algorithm: str) -> Drawn:
    """What its settings say, with the colour that is drawn with."""
    kind = algorithm_kind(algorithm)
    return Drawn(_STAND_INS[css_name(algorithm)], kind.marker_of(algorithm), kind.figure_style.dashes)


def css_name(algorithm: str) -> str:
    """What the page's style calls it."""
    return algorithm if algorithm in ALGORITHM_NAMES else _CUSTOM


class Colours(NamedTuple):
    """Of the algorithms, as CSS."""

    light: str
    """variables on a light page"""
    dark: str
    marks: str
    """rules of the marks before their names"""


def algorithm_colours() -> Colours:
    """Of all algorithms."""
    styles = {name: algorithm_kind(name).figure_style for name in ALGORITHM_NAMES}
    styles[_CUSTOM] = CustomAlgorithm.figure_style
    return Colours(
        " ".join(f"--{name}: {style.light};" for name, style in styles.items()),
        " ".join(f"--{name}: {style.dark};" for name, style in styles.items()),
        " ".join(f".mark.{name} {{ background: var(--{name}); }}" for name in styles),
    )


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
