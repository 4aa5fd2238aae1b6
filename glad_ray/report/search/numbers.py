"""Means with their intervals."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean, and half the width of its 95 % interval (Student's t); None of one value."""

    mean: float
    half: float | None
    values: int


def interval(values: Sequence[float]) -> Interval:
    """The mean of some values, at least one, and how far it can be trusted where they are independent draws."""
    if len(values) < 2:
        return Interval(values[0], None, 1)
    # Imported late, for scipy's statistics take seconds to load.
    from scipy.stats import t

    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.fmean(values), float(t.ppf(0.975, len(values) - 1)) * error, len(values))
