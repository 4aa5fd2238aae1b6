"""How well cheap looks rank trials: Kendall's tau against what the same trials score later."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from glad_ray.results import SearchTrial

FEWEST = 3


@dataclass(frozen=True)
class Pair:
    """A trial's accuracy at a look, and later."""

    look: float
    later: float
    control: bool


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How trials stand at a look, and how they do later."""

    look: int
    """from 0"""
    later: Literal["last", "full"]
    """at the last look, or evaluated in full"""
    pairs: tuple[Pair, ...]
    tau: float | None
    """tau-b, from -1 (reversed) over 0 (unrelated) to 1 (the same order); None: too few, or either does not vary"""
    p: float | None
    """how likely a tau as far from 0 is where the two are unrelated"""


def agreements(trials: Sequence[SearchTrial], looks: int) -> list[Agreement]:
    """Every look against the evaluation in full, then every look but the last against the last."""
    in_full = [(trial, full) for trial in trials if (full := trial.full_accuracy) is not None]
    at_last = [(trial, trial.looks[-1]) for trial in trials if len(trial.looks) == looks]
    return [
        *(_agreement(look, "full", _pairs(in_full, look)) for look in range(looks)),
        *(_agreement(look, "last", _pairs(at_last, look)) for look in range(looks - 1)),
    ]


def _pairs(scored: Sequence[tuple[SearchTrial, float]], look: int) -> tuple[Pair, ...]:
    return tuple(Pair(trial.looks[look], later, trial.control) for trial, later in scored if len(trial.looks) > look)


def _agreement(look: int, later: Literal["last", "full"], pairs: tuple[Pair, ...]) -> Agreement:
    if len(pairs) < FEWEST:
        return Agreement(look=look, later=later, pairs=pairs, tau=None, p=None)
    # Imported late, for scipy's statistics take seconds to load.
    from scipy.stats import kendalltau

    found = kendalltau([pair.look for pair in pairs], [pair.later for pair in pairs])
    tau, p = float(found.statistic), float(found.pvalue)
    if math.isnan(tau):
        return Agreement(look=look, later=later, pairs=pairs, tau=None, p=None)
    return Agreement(look=look, later=later, pairs=pairs, tau=tau, p=p)
