"""How well rungs rank trials: Kendall's tau against what the same trials score later."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from glad_ray.results import SearchTrial

FEWEST = 3


@dataclass(frozen=True)
class Pair:
    """A trial's accuracy at a rung, and later."""

    at_rung: float
    later: float
    control: bool


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How the order of trials at a rung agrees with their order later."""

    rung: int
    """from 0"""
    later: Literal["last", "full"]
    """at the last rung, or evaluated in full"""
    pairs: tuple[Pair, ...]
    tau: float | None
    """tau-b, from -1 (reversed) over 0 (unrelated) to 1 (the same order); None: too few, or either does not vary"""
    p: float | None
    """how likely a tau as far from 0 is where the two are unrelated"""


def agreements(trials: Sequence[SearchTrial], rungs: int) -> list[Agreement]:
    """Every rung against the evaluation in full, then every rung but the last against the last."""
    in_full = [(trial, full) for trial in trials if (full := trial.full_accuracy) is not None]
    at_last = [(trial, trial.rung_accuracies[-1]) for trial in trials if len(trial.rung_accuracies) == rungs]
    return [
        *(_agreement(rung, "full", _pairs(in_full, rung)) for rung in range(rungs)),
        *(_agreement(rung, "last", _pairs(at_last, rung)) for rung in range(rungs - 1)),
    ]


def _pairs(scored: Sequence[tuple[SearchTrial, float]], rung: int) -> tuple[Pair, ...]:
    return tuple(
        Pair(trial.rung_accuracies[rung], later, trial.control)
        for trial, later in scored
        if len(trial.rung_accuracies) > rung
    )


def _agreement(rung: int, later: Literal["last", "full"], pairs: tuple[Pair, ...]) -> Agreement:
    if len(pairs) < FEWEST:
        return Agreement(rung=rung, later=later, pairs=pairs, tau=None, p=None)
    # Imported late, for scipy's statistics take seconds to load.
    from scipy.stats import kendalltau

    found = kendalltau([pair.at_rung for pair in pairs], [pair.later for pair in pairs])
    tau, p = float(found.statistic), float(found.pvalue)
    if math.isnan(tau):
        return Agreement(rung=rung, later=later, pairs=pairs, tau=None, p=None)
    return Agreement(rung=rung, later=later, pairs=pairs, tau=tau, p=p)
