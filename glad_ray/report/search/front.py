"""Of several objectives, the trials that no other beats in all: the Pareto front."""

from collections.abc import Sequence

from glad_ray.results import SearchTrial
from glad_ray.spec.searches.search import Objective


def scored(trials: Sequence[SearchTrial], objectives: Sequence[Objective]) -> list[SearchTrial]:
    """The trials that have a value for every objective."""
    return [trial for trial in trials if len(trial.values) == len(objectives)]


def front(trials: Sequence[SearchTrial], objectives: Sequence[Objective]) -> list[SearchTrial]:
    """Those that are nowhere worse than another and somewhere better, in the order of the first objective."""
    losses = {trial.number: _losses(trial, objectives) for trial in scored(trials, objectives)}
    unbeaten = [
        trial
        for trial in scored(trials, objectives)
        if not any(_beats(other, losses[trial.number]) for other in losses.values())
    ]
    return sorted(unbeaten, key=lambda trial: losses[trial.number])


def _losses(trial: SearchTrial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """What is wanted low in all objectives."""
    return tuple(
        -value if objective == "accuracy" else value for objective, value in zip(objectives, trial.values, strict=True)
    )


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= yours for mine, yours in zip(one, other, strict=True))
