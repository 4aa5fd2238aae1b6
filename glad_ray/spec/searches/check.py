"""What is wrong with a search, found before anything is drawn: ranges that can make something that is no run.

Ranges are tried by themselves, at their ends and between, and together: all combinations of some values of each where
there are few, and as many at random where there are not. What that misses is met when it is drawn; the search then says
so and draws again.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from glad_ray.errors import UserError, unknown
from glad_ray.spec.algorithms import ALGORITHMS
from glad_ray.spec.generators.base import GeneratorRecord
from glad_ray.spec.record import Record, field_paths, value_at
from glad_ray.spec.run import Run
from glad_ray.spec.search_space import (
    EXPERTS,
    Ask,
    Parameter,
    combinations,
    labels_of,
    needed_values,
    propose,
    some_values,
)
from glad_ray.spec.searches.search import AnyRange, Choice, FloatRange, Grid, IntRange, Layers, Search, check_distils

_OF_THE_IMAGES = ("dataset", "own_dataset", "held_out", "seed")
_OF_THE_EXECUTION = ("checkpoint_every", "algorithm.experts.keep_until")
_ALONE = 100
"""numbers of a range of whole numbers, at most, that are tried by themselves"""
_TOGETHER = 3
"""numbers of a range that are tried in combinations"""
_MOST_COMBINATIONS = 300


def check_search(search: Search) -> None:
    """Raise the `UserError` of the first mistake in what may vary, or in the first points: a field that does not exist,
    a value or a combination of values that no run has, a layer no generator has, a condition that is never met.
    """
    known = {f"{prefix}{path}" for prefix, record in _roots(search) for path in field_paths(record)}
    for path, range_ in search.vary.items():
        _check_field(search, path, range_, known)
    for path, range_ in search.vary.items():
        for other, values in range_.when.items():
            _check_condition(search, path, other, values)
    _check_values(search)
    _check_together(search)
    for point in search.first:
        for path in point:
            if path not in search.vary:
                raise unknown("field in first", path, search.vary)
        labels_of(search, point, strict=True)


def _check_field(search: Search, path: str, range_: AnyRange, known: set[str]) -> None:
    if path in _OF_THE_IMAGES:
        raise UserError(f"{path} cannot vary: what is compared has the same images and seed; search each alone.")
    if path in _OF_THE_EXECUTION:
        raise UserError(f"{path} cannot vary: it decides no result; set it in the base run.")
    if path not in known:
        raise unknown("field of a run in vary", path, sorted(known - {*_OF_THE_IMAGES, *_OF_THE_EXECUTION}))
    if path.startswith(EXPERTS) and not isinstance(range_, Choice):
        raise UserError(f"{path} decides which experts are trained: name its values in a Choice.")
    if isinstance(range_, Layers) and path != "space":
        raise UserError(f"Layers are spaces and {path} is none: name its values in a Choice.")
    if isinstance(range_, FloatRange) and all(map(_is_whole, _annotations(search, path))):
        low, high = math.ceil(range_.low), math.floor(range_.high)
        log = ", log=True" if range_.log else ""
        whole = f"IntRange(low={low}, high={high}{log})" if low <= high else "an IntRange with other bounds"
        raise UserError(f"{path} takes whole numbers, and a FloatRange draws others: use {whole}.")
    if isinstance(range_, Choice):
        _check_choice(path, range_)


def _check_choice(path: str, choice: Choice) -> None:
    """Raise `UserError` unless a study can tell each value from the others."""
    try:
        labels = [Parameter(path, path, choice).label(value) for value in choice.values]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} has a value in its Choice that is neither a number, a text, a list nor a record: {error}."
        ) from error
    for number, label in enumerate(labels):
        if label in labels[:number]:
            raise UserError(f"The Choice of {path} names one value twice, {label}: leave one out.")


def _check_condition(search: Search, path: str, other: str, values: Sequence[Any]) -> None:
    """Raise `UserError` for a `when` that names a field that does not vary, or a value that it never has."""
    if other not in search.vary:
        raise unknown(f"field in when of {path}", other, search.vary)
    if not values:
        raise UserError(f"The when of {path} names no value of {other}: name some, or leave {other} out of it.")
    range_ = search.vary[other]
    for value in values:
        if isinstance(range_, Layers):
            possible = value in _layers(search, range_)
        else:
            possible = Parameter(other, other, range_).holds(value)
        if not possible:
            raise UserError(
                f"The when of {path} asks for {other}={value!r}, which is not in the range of {other}: name a value "
                "that is, written as it is there."
            )


def _layers(search: Search, layers: Layers) -> set[str]:
    """All spaces that `Layers` may draw, of any generator."""
    generators = [record for _, record in _roots(search) if isinstance(record, GeneratorRecord)]
    generators += [search.base.generator] if search.base.generator is not None else []
    return {*(["pixel"] if layers.pixel else []), *(space for each in generators for space in each.spaces)}


def _check_values(search: Search) -> None:
    """Every value by itself, beside the first values of the other ranges."""
    tried: set[tuple[str, Any]] = set()
    for _, drawn in islice(combinations(search, partial(needed_values, "low"), _proposed), _MOST_COMBINATIONS):
        beside = {parameter.name: value for parameter, value in drawn}
        for parameter, _ in drawn:
            points = _ALONE if isinstance(parameter.range, IntRange) else _TOGETHER
            for value in some_values(parameter, points):
                if (parameter.name, parameter.label(value)) not in tried:
                    tried.add((parameter.name, parameter.label(value)))
                    _proposed(search, partial(_given, beside | {parameter.name: value}))


def _given(values: Mapping[str, Any], parameter: Parameter) -> Any:
    return values[parameter.name] if parameter.name in values else some_values(parameter, _TOGETHER)[0]


def _check_together(search: Search) -> None:
    """Combinations of choices and of the ends and middles of ranges; of a grid, its own."""
    points, most = _TOGETHER, _MOST_COMBINATIONS
    if isinstance(search.sampler, Grid):
        points, most = search.sampler.points, max(search.trials, _MOST_COMBINATIONS)
    together = combinations(search, partial(some_values, points=points), _proposed)
    if sum(1 for _ in islice(together, most)) < most:
        return
    chance = random.Random(0)
    for _ in range(_MOST_COMBINATIONS):
        _proposed(search, lambda parameter: chance.choice(some_values(parameter, points)))


def _proposed(search: Search, ask: Ask) -> Run:
    """What `propose` makes; raises a `UserError` that says what was drawn if no run can be made of it."""
    drawn: dict[str, Any] = {}

    def noted(parameter: Parameter) -> Any:
        value = ask(parameter)
        drawn[parameter.path] = parameter.label(value)
        return value

    try:
        run = propose(search, noted)
        check_distils(run)
    except UserError as error:
        words = ", ".join(f"{path}={label}" for path, label in drawn.items())
        raise UserError(
            f"The search can draw {words or 'nothing'}, of which no run can be made: {str(error).rstrip('.')}. Narrow "
            "the ranges, name values in a Choice, or give a range a when, which asks for values of other fields."
        ) from error
    return run


def _roots(search: Search) -> Iterator[tuple[str, Record]]:
    """Records whose fields may vary, each after what their paths begin with: the base run, all algorithms, and those
    that a Choice names.
    """
    yield "", search.base
    yield "algorithm.", search.base.algorithm
    for kind in ALGORITHMS:
        if kind.distils and (algorithm := kind.original()) is not None:
            yield "algorithm.", algorithm
    for path, range_ in search.vary.items():
        for value in range_.values if isinstance(range_, Choice) else ():
            if isinstance(value, Record):
                yield f"{path}.", value


def _annotations(search: Search, path: str) -> Iterator[Any]:
    """The types of the fields that a path leads to."""
    for prefix, record in _roots(search):
        inner = path.removeprefix(prefix)
        if path.startswith(prefix) and inner in set(field_paths(record)):
            parent, _, name = inner.rpartition(".")
            owner = value_at(record, parent) if parent else record
            yield type(owner[name]) if isinstance(owner, Mapping) else type(owner).model_fields[name].annotation


def _is_whole(annotation: Any) -> bool:
    """Whether a type has no numbers but whole ones."""
    if get_origin(annotation) is Annotated:
        return _is_whole(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(_is_whole(each) for each in get_args(annotation) if each is not NoneType)
    return annotation is int
