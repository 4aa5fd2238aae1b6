"""Accuracy by latent space: what every look saw, a mean that can be trusted as far as its interval, and the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from glad_ray.report.identity import space_order
from glad_ray.report.search.numbers import Interval, interval
from glad_ray.results import SearchTrial


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The trials in one space."""

    space: str
    first: tuple[float, ...]
    """accuracies at the first look"""
    mean: Interval
    last: tuple[float, ...]
    """accuracies at the last look, of those that came to it"""
    full: tuple[float, ...]
    """accuracies in full, of those that were evaluated so"""


def by_generator(trials: Sequence[SearchTrial], looks: int) -> list[tuple[str, tuple[Layer, ...]]]:
    """Layers in their order for each generator, with its name (empty if there is one alone); pixels beside all."""
    generators = {trial.run.generator_name: trial.run.generator for trial in trials if trial.run.generator is not None}
    if len(generators) < 2:
        return [("", _layers(trials, looks))] if any(trial.looks for trial in trials) else []
    return [
        (
            f"{generator.title} ({generator.content_id})",
            _layers([trial for trial in trials if trial.run.generator_name in ("none", name)], looks),
        )
        for name, generator in generators.items()
    ]


def _layers(trials: Sequence[SearchTrial], looks: int) -> tuple[Layer, ...]:
    of_space: dict[str, list[SearchTrial]] = {}
    for trial in trials:
        if trial.looks:
            of_space.setdefault(trial.run.space, []).append(trial)
    return tuple(
        Layer(
            space=space,
            first=(first := tuple(trial.looks[0] for trial in of_space[space])),
            mean=interval(first),
            last=tuple(trial.looks[-1] for trial in of_space[space] if 1 < looks == len(trial.looks)),
            full=tuple(each for trial in of_space[space] if (each := trial.full_accuracy) is not None),
        )
        for space in sorted(of_space, key=space_order)
    )
