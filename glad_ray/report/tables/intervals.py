"""Means with their 95 % intervals by Student's t."""

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, and half the width of its 95 % interval (Student's t); None of one value."""

    mean: float
    half: float | None
    values: int

    @property
    def low(self) -> float | None:
        """Lower end."""
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.half is None else self.mean + self.half


def interval(values: Sequence[float]) -> Interval:
    """The mean of some values, at least one, and how far it can be trusted where they are independent draws."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, None, len(values))
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, quantile(len(values) - 1) * error, len(values))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The mean of `theirs` minus that of `ours`, which are not paired, with Welch's interval; it has no width where
    either is a single value.
    """
    mean = statistics.fmean(theirs) - statistics.fmean(ours)
    if min(len(ours), len(theirs)) < 2:
        return Interval(mean, None, len(ours) + len(theirs))
    parts = [statistics.variance(values) / len(values) for values in (ours, theirs)]
    if not sum(parts):
        return Interval(mean, 0.0, len(ours) + len(theirs))
    of_each = zip(parts, (ours, theirs), strict=True)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(values) - 1) for part, values in of_each)
    return Interval(mean, quantile(freedom) * math.sqrt(sum(parts)), len(ours) + len(theirs))


@functools.cache
def quantile(degrees_of_freedom: float) -> float:
    """How many standard errors a 95 % interval reaches to either side."""
    # Not of scipy.stats, which takes seconds to load; imported late for the same reason.
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + CONFIDENCE / 2))
