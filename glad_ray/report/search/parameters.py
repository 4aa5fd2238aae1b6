"""What varied in a search: its ranges in words, and where a value lies in its range."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report.tables.identity import space_order
from glad_ray.results import SearchTrial
from glad_ray.spec.record import Record
from glad_ray.spec.searches.search import AnyRange, Choice, FloatRange, IntRange, Layers, Search

Value = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that was drawn for trials, by the name under which it was."""

    name: str
    ends: tuple[float, float] | None = None
    """of a range of numbers; None: it is one of some choices"""
    log: bool = False
    choices: tuple[Value, ...] = ()
    """those that were drawn, in order"""

    @property
    def title(self) -> str:
        """What figures and tables call it: `learning rate of f`."""
        return self.name.removeprefix("algorithm.").replace("learning_rates.", "learning rate of ").replace("_", " ")

    def place(self, trial: SearchTrial) -> float | None:
        """Where a trial's value lies in the range, in [0, 1]; None if the trial does not have it."""
        if self.name not in trial.parameters:
            return None
        value = trial.parameters[self.name]
        if self.ends is None:
            return _share(self.choices.index(value), 0, len(self.choices) - 1)
        assert isinstance(value, int | float), "numbers are drawn of a range of numbers"
        return self.at(value)

    def at(self, number: float) -> float:
        """Where a number lies in a range of numbers, in [0, 1]."""
        assert self.ends is not None, "choices have no numbers between them"
        scale = math.log if self.log else float
        return _share(scale(number), *map(scale, self.ends))


def parameters(search: Search, trials: Iterable[SearchTrial]) -> tuple[Parameter, ...]:
    """All that was drawn, in the order in which the search names it."""
    values: dict[str, dict[Value, None]] = {}
    for trial in trials:
        for name, value in trial.parameters.items():
            values.setdefault(name, {})[value] = None
    fields = list(search.vary)
    names = sorted(values, key=lambda name: fields.index(field_of(name)) if field_of(name) in fields else len(fields))
    return tuple(_parameter(name, search.vary.get(field_of(name)), tuple(values[name])) for name in names)


def field_of(name: str) -> str:
    """The field of the run that a parameter sets: `init` of `init of latents`."""
    return name.partition(" of ")[0]


def shown(value: Value) -> str:
    """A value as tables show it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ranges(search: Search) -> list[tuple[str, str, str]]:
    """Each field that varies, what it may be, and on what condition, in words."""
    return [(field, _range(search, of), _condition(of.when)) for field, of in search.vary.items()]


def choice_names(values: Sequence[Any]) -> list[str]:
    """Names of what can be chosen; of records of one kind, with the fields in which they differ."""
    plain = [value.model_dump(mode="json") if isinstance(value, Record) else value for value in values]
    return [_choice_name(value, plain) for value in plain]


def _choice_name(value: Any, values: Sequence[Any]) -> str:
    if not isinstance(value, Mapping):
        return shown(value) if isinstance(value, Value) else str(value)
    alike = [other for other in values if isinstance(other, Mapping) and _kind(other) == _kind(value)]
    telling = [f"{key} {value[key]}" for key in value if any(other.get(key) != value[key] for other in alike)]
    return f"{_kind(value)} ({', '.join(telling)})" if telling else _kind(value)


def _kind(record: Mapping[str, Any]) -> str:
    return str(record.get("name", record.get("kind")))


def _range(search: Search, of: AnyRange) -> str:
    match of:
        case Choice():
            return ", ".join(choice_names(of.values))
        case Layers():
            generator = search.base.generator
            spaces = (
                ", ".join(generator.spaces) if generator and "generator" not in search.vary else "all of a generator"
            )
            return f"pixel, {spaces}" if of.pixel else spaces
        case FloatRange() | IntRange():
            numbers = "whole numbers " if isinstance(of, IntRange) else ""
            return f"{numbers}{of.low:g} to {of.high:g}" + (", by orders of magnitude" if of.log else "")


def _condition(when: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"{field} {' or '.join(choice_names(values))}" for field, values in when.items())


def _parameter(name: str, of: AnyRange | None, values: tuple[Value, ...]) -> Parameter:
    if isinstance(of, FloatRange | IntRange):
        numbers = [value for value in values if isinstance(value, int | float)]
        ends = float(min(of.low, *numbers)), float(max(of.high, *numbers))
        return Parameter(name=name, ends=ends, log=of.log)
    if field_of(name) == "space":
        return Parameter(name=name, choices=tuple(sorted(values, key=lambda space: space_order(str(space)))))
    declared = list(of.values) if isinstance(of, Choice) else []
    order = sorted(values, key=lambda value: declared.index(value) if value in declared else len(declared))
    return Parameter(name=name, choices=tuple(order))


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)
