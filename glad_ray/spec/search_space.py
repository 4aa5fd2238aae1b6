"""From a search to the runs it may try: which parameters there are, which of them a run has, what is drawn for them.

A parameter is a range with a name. The name is the field's path, unless what may be chosen depends on the rest of the
run (the layers of one of several generators, the ways to begin in pixels or in latents): then it says on what.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from glad_ray.errors import UserError
from glad_ray.spec.layers import spaces_of
from glad_ray.spec.record import Record, field_paths, replace_at, replace_together, value_at
from glad_ray.spec.run import Run
from glad_ray.spec.searches.search import AnyRange, Choice, FloatRange, IntRange, Layers, Search

# What decides which other fields a run has comes first.
_FIRST = ("algorithm", "generator", "space")
# What a machine has to hold for a run, and what its shares are: kept ready for every value that may be drawn.
_DECIDING = (*_FIRST, "backbone", "resolution", "antialias", "whitening")
_RATES = "algorithm.learning_rates."
_SCHEDULE = "schedule."
EXPERTS = "algorithm.experts"

Label = str | float | int | bool | None
"""A value as a study, or a table, has it"""


class Parameter(NamedTuple):
    """What is drawn."""

    name: str
    path: str
    range: Choice | FloatRange | IntRange

    def label(self, value: Any) -> Label:
        """A value in words, different for every value of a choice."""
        if isinstance(value, str | float | int | None):
            return value
        if isinstance(value, Record):
            return f"{getattr(value, 'name', None) or getattr(value, 'kind', type(value).__name__)} {value.former_id}"
        return json.dumps(value)

    @property
    def labels(self) -> dict[Label, Any]:
        """The values of a choice by their labels, in order."""
        assert isinstance(self.range, Choice), f"{self.name} is a range of numbers"
        return {self.label(value): value for value in self.range.values}

    def holds(self, value: Any) -> bool:
        """Whether a value is in range."""
        if isinstance(self.range, Choice):
            return value in self.range.values
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.range.low <= value <= self.range.high


Ask = Callable[[Parameter], Any]
"""Draws a value."""


def propose(search: Search, ask: Ask) -> Run:
    """The run that is made of what `ask` draws; raises `UserError` if no run can be made of it."""
    run = search.base
    drawn: dict[str, Any] = {}
    for path, range_ in _ordered(search.vary):
        if not _has(run, path, range_) or not all(drawn.get(other) in values for other, values in range_.when.items()):
            continue
        drawn[path] = ask(_parameter(search, run, path, range_))
        if path in _FIRST:
            run = _changed(run, path, drawn[path])
    # Together, so that only the run that they make has to be possible, and none on the way to it.
    return replace_together(run, {path: value for path, value in drawn.items() if path not in _FIRST})


def first_points(search: Search) -> list[dict[str, Label]]:
    """What is tried first, each as far as it is given: what the search says, then the paper's choices, of every
    algorithm in question, as far as they are in range. The paper's layers are those of its own generators; where there
    is none of that name, the base run's space takes its place.
    """
    points = [labels_of(search, point, strict=True) for point in search.first]
    points += [labels_of(search, point, strict=False) for point in _paper_points(search)]
    return [point for number, point in enumerate(points) if point and point not in points[:number]]


def grid_points(search: Search, points: int) -> Iterator[dict[str, Label]]:
    """Every combination, of `points` values of each range of numbers, over the last parameter fastest."""
    for _, drawn in combinations(search, partial(some_values, points=points)):
        yield {parameter.name: parameter.label(value) for parameter, value in drawn}


def representatives(search: Search) -> tuple[Run, ...]:
    """Runs that between them need all that any run of the search does: images, generators, experts, shares."""
    made = (run for end in ("low", "high") for run, _ in combinations(search, partial(needed_values, end)))
    return tuple({run.run_id: run for run in made}.values())


def needed_values(end: str, parameter: Parameter) -> Sequence[Any]:
    """Every value of a choice that decides on what is kept ready; of others the first, of numbers one end."""
    if not isinstance(parameter.range, Choice):
        return (getattr(parameter.range, end),)
    deciding = parameter.path in _DECIDING or parameter.path.startswith(EXPERTS)
    return parameter.range.values if deciding else parameter.range.values[:1]


def some_values(parameter: Parameter, points: int) -> Sequence[Any]:
    """All values of a choice, or at most so many numbers of a range, evenly, over orders of magnitude with `log`."""
    match parameter.range:
        case Choice(values=values):
            return values
        case IntRange(low=low, high=high, log=log):
            return sorted({round(number) for number in _spread(low, high, log, points)})
        case FloatRange(low=low, high=high, log=log):
            return _spread(low, high, log, points)


def combinations(
    search: Search, values_of: Callable[[Parameter], Sequence[Any]], make: Callable[[Search, Ask], Run] = propose
) -> Iterator[tuple[Run, list[tuple[Parameter, Any]]]]:
    """Every run that can be made of some values of each parameter, and what it is made of. `make` proposes them."""
    chosen: list[int] = []
    while True:
        run, drawn, sizes = _combination(search, values_of, make, chosen)
        yield run, drawn
        # Count up: the last parameter's next value, or of the last one that has any left.
        chosen += [0] * (len(sizes) - len(chosen))
        del chosen[len(sizes) :]
        while chosen and chosen[-1] == sizes[len(chosen) - 1] - 1:
            chosen.pop()
        if not chosen:
            return
        chosen[-1] += 1


def _combination(
    search: Search,
    values_of: Callable[[Parameter], Sequence[Any]],
    make: Callable[[Search, Ask], Run],
    chosen: Sequence[int],
) -> tuple[Run, list[tuple[Parameter, Any]], list[int]]:
    """The run of the chosen values of the first parameters and the first values of the others; what it is made of, and
    how many values each parameter has.
    """
    drawn: list[tuple[Parameter, Any]] = []
    sizes: list[int] = []

    def ask(parameter: Parameter) -> Any:
        values = values_of(parameter)
        value = values[chosen[len(sizes)] if len(sizes) < len(chosen) else 0]
        sizes.append(len(values))
        drawn.append((parameter, value))
        return value

    return make(search, ask), drawn, sizes


def _spread(low: float, high: float, log: bool, points: int) -> list[float]:
    """So many numbers from `low` to `high`, evenly, over orders of magnitude with `log`; the middle where it is one."""
    if low == high:
        return [low]
    if points == 1:
        return [math.sqrt(low * high) if log else (low + high) / 2]
    spread = np.geomspace(low, high, points) if log else np.linspace(low, high, points)
    return [low, *(float(number) for number in spread[1:-1]), high]


def _paper_points(search: Search) -> Iterator[dict[str, Any]]:
    vary = search.vary
    candidates = vary.get("algorithm")
    algorithms = candidates.values if isinstance(candidates, Choice) else (search.base.algorithm,)
    for algorithm in algorithms:
        paper, point = search.base.replace(algorithm=algorithm.original() or algorithm), {}
        for path in vary:
            if path == "algorithm":
                point[path] = algorithm
            elif path == "space":
                layer = algorithm.paper_layer or ""
                legal = paper.generator is not None and layer in paper.generator.spaces
                point[path] = layer if legal else paper.space
            elif path in set(field_paths(paper)):
                point[path] = value_at(paper, path)
        yield point


def labels_of(search: Search, point: Mapping[str, Any], *, strict: bool) -> dict[str, Label]:
    """The labels of what a point gives, by the names of parameters; what is out of range is left out, or, `strict`,
    raises `UserError`.
    """
    found: dict[str, Label] = {}

    def ask(parameter: Parameter) -> Any:
        given = parameter.path in point
        value = point.get(parameter.path)
        if given and parameter.holds(value):
            found[parameter.name] = parameter.label(value)
            return value
        if given and strict:
            raise UserError(
                f"A first point has {parameter.path}={value!r}, which is out of its range: give first another value."
            )
        return _first(parameter)

    try:
        propose(search, ask)
    except UserError:
        # What is not given was not drawn yet: the draw tells whether a run can be made of it.
        if strict:
            raise
    return found


def _first(parameter: Parameter) -> Any:
    range_ = parameter.range
    return range_.values[0] if isinstance(range_, Choice) else range_.low


def _ordered(vary: Mapping[str, AnyRange]) -> list[tuple[str, AnyRange]]:
    """What decides which other fields there are comes first, and a range after those that its `when` names; raises
    `UserError` if ranges wait for one another.
    """
    waiting = sorted(vary, key=lambda path: _FIRST.index(path) if path in _FIRST else len(_FIRST))
    ordered: list[str] = []
    while waiting:
        ready = next((path for path in waiting if not set(vary[path].when) & set(waiting)), None)
        if ready is None:
            raise UserError(f"The when of {waiting[0]} waits for a field that waits for it: leave one of them out.")
        waiting.remove(ready)
        ordered.append(ready)
    return [(path, vary[path]) for path in ordered]


def _has(run: Run, path: str, range_: AnyRange) -> bool:
    """Whether a field says anything of a run that the range has a value for."""
    if path == "init" and isinstance(range_, Choice):
        return any(value in _inits(run) for value in range_.values)
    if path.startswith(_RATES):
        return path.removeprefix(_RATES) in run.latent_kinds
    if path.startswith(_SCHEDULE) and len(run.spaces) == 1:
        return False
    return path in set(field_paths(run))


def _inits(run: Run) -> tuple[str, ...]:
    """The ways in which a run may begin."""
    return tuple(init for init in run.inits if init != "gaussian" or _has_f(run, run.space))


def _has_f(run: Run, space: str) -> bool:
    """Whether a space of the run's generator begins with a feature map, which may be drawn."""
    generator, first = run.generator, spaces_of(space)[0]
    return generator is not None and first in generator.spaces and "f" in generator.latent_shapes(first)


def _parameter(search: Search, run: Run, path: str, range_: AnyRange) -> Parameter:
    if isinstance(range_, Layers):
        if run.generator is None:
            raise UserError(
                "Layers are those of a generator, and the base run has no generator: give it one, and a space."
            )
        name = f"{path} of {run.generator_name}" if "generator" in search.vary else path
        return Parameter(name, path, Choice(values=(*(("pixel",) if range_.pixel else ()), *run.generator.spaces)))
    if path == "init" and isinstance(range_, Choice):
        where = "pixels" if run.generator is None else "latents"
        values = tuple(value for value in range_.values if value in _inits(run))
        return Parameter(f"{path} of {where}", path, Choice(values=values))
    return Parameter(path, path, range_)


def _changed(run: Run, path: str, value: Any) -> Run:
    """A run with a field changed, and with what that implies."""
    if path == "space" and value == "pixel":
        # The same images: of the generator's size.
        without = {"generator": None, "generator_classes": (), "learn_generator": False, "init": None}
        return run.replace(space="pixel", resolution=run.resolution, **without)
    if path == "space" and run.init == "gaussian" and not _has_f(run, value):
        return run.replace(space=value, init=None)
    return replace_at(run, path, value)
