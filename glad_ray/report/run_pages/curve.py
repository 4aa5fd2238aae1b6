"""The loss curve of one run, drawn by hand: a page may have thousands, and matplotlib takes its time over each."""

import html
import math

from markupsafe import Markup

from glad_ray.report import wording
from glad_ray.report.figures.curves import thinned
from glad_ray.report.figures.drawing import css_name
from glad_ray.results import LossCurve

_POINTS = 90
_WIDTH, _HEIGHT = 560, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 30
_DECADES = 30
"""ratio of the highest loss to the lowest from which on the axis is logarithmic"""


def loss_curve(curve: LossCurve, algorithm: str) -> Markup | None:
    """Matching loss against the step as an `svg` element; long curves as means of equal stretches.

    None where no loss is finite.
    """
    steps, losses = thinned(curve, _POINTS)
    points = [(step, loss) for step, loss in zip(steps, losses, strict=True) if math.isfinite(loss)]
    if not points:
        return None
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    logarithmic = low > 0 and high > _DECADES * low

    def height(loss: float) -> float:
        share = _share(math.log(loss), math.log(low), math.log(high)) if logarithmic else _share(loss, low, high)
        return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)

    def place(step: float) -> float:
        return _LEFT + _share(step, 1, len(curve.losses)) * (_WIDTH - _LEFT - _RIGHT)

    drawn = " ".join(f"{place(step):.0f},{height(loss):.0f}" for step, loss in points)
    base = _HEIGHT - _BOTTOM
    scale = ", logarithmic axis" if logarithmic else ""
    title = f"Matching loss by step{scale}: {course(curve)}"
    return Markup(
        f'<svg class="curve" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
        f"<title>{html.escape(title)}</title>"
        f'<path class="axis" d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}"/>'
        f'<polyline points="{drawn}" style="stroke:var(--{css_name(algorithm)})"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" class="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" class="end">{low:.3g}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">step 1</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" class="end">{wording.count(len(curve.losses))}</text></svg>'
    )


def course(curve: LossCurve) -> str:
    """`1.87 at step 1, 0.34 at step 60`."""
    return f"{curve.losses[0]:.4g} at step 1, {curve.losses[-1]:.4g} at step {len(curve.losses)}"


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
