"""Accuracy by latent space: at the rungs and in full, and the mean at the first rung with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from glad_ray.report.tables.identity import space_order
from glad_ray.report.tables.intervals import Interval, interval
from glad_ray.results import SearchTrial


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The trials in one space."""

    space: str
    first: tuple[float, ...]
    """accuracies at the first rung"""
    mean: Interval
    last: tuple[float, ...]
    """accuracies at the last rung, of those that reached it"""
    full: tuple[float, ...]
    """accuracies in full, of those that were evaluated so"""


def by_generator(trials: Sequence[SearchTrial], rungs: int) -> list[tuple[str, tuple[Layer, ...]]]:
    """Layers in their order for each generator, with its name (empty if there is one alone); pixels beside all."""
    generators = {trial.run.generator_name: trial.run.generator for trial in trials if trial.run.generator is not None}
    if len(generators) < 2:
        return [("", _layers(trials, rungs))] if any(trial.rung_accuracies for trial in trials) else []
    return [
        (
            f"{generator.title} ({generator.content_id})",
            _layers([trial for trial in trials if trial.run.generator_name in ("none", name)], rungs),
        )
        for name, generator in generators.items()
    ]


def _layers(trials: Sequence[SearchTrial], rungs: int) -> tuple[Layer, ...]:
    of_space: dict[str, list[SearchTrial]] = {}
    for trial in trials:
        if trial.rung_accuracies:
            of_space.setdefault(trial.run.space, []).append(trial)
    return tuple(
        Layer(
            space=space,
            first=(first := tuple(trial.rung_accuracies[0] for trial in of_space[space])),
            mean=interval(first),
            last=tuple(
                trial.rung_accuracies[-1] for trial in of_space[space] if 1 < rungs == len(trial.rung_accuracies)
            ),
            full=tuple(each for trial in of_space[space] if (each := trial.full_accuracy) is not None),
        )
        for space in sorted(of_space, key=space_order)
    )
