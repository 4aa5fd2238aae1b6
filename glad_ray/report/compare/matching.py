"""Which lines of two storages are set against one another, and which are not, and why."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glad_ray.report.compare.lines import Line

_AMBIGUOUS = "several have these settings or others, and nothing says which belong together"


class Differing(NamedTuple):
    """A setting or part of the budget that two lines have otherwise."""

    name: str
    a: str
    b: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A line of each storage, under the same budget."""

    a: Line
    b: Line
    differing: tuple[Differing, ...]
    """settings of the runs that are not the same; empty: all are"""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Lines in the same cell that are not compared."""

    a: Line
    b: Line
    reasons: tuple[Differing, ...]
    """the parts of the budget in which they differ"""
    ambiguous: str
    """the reason where the budgets are the same; else empty"""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """All lines of two storages, each of them once."""

    pairs: tuple[Pair, ...]
    refused: tuple[Refused, ...]
    only_a: tuple[Line, ...]
    only_b: tuple[Line, ...]


def match(of_a: Sequence[Line], of_b: Sequence[Line]) -> Matched:
    """Lines in the same cell and with the same budget belong together, those with the same settings first.

    Lines whose settings differ are paired where there is one of each left, so that nothing is chosen. What is left in a
    cell that both have is refused.
    """
    cells: dict[object, tuple[list[Line], list[Line]]] = defaultdict(lambda: ([], []))
    for side, of_side in enumerate((of_a, of_b)):
        for line in of_side:
            cells[line.where][side].append(line)
    pairs: list[Pair] = []
    refused: list[Refused] = []
    only: tuple[list[Line], list[Line]] = ([], [])
    for a, b in cells.values():
        pairs += _same_settings(a, b)
        pairs += _single(a, b)
        if a and b:
            refused += [_refused(line, min(b, key=lambda other: len(budget_differing(line, other)))) for line in a]
            taken = [each.b for each in refused]
            refused += [
                _refused(min(a, key=lambda line: len(budget_differing(line, other))), other)
                for other in b
                if not any(other is each for each in taken)
            ]
        else:
            only[0].extend(a)
            only[1].extend(b)
    return Matched(pairs=tuple(pairs), refused=tuple(refused), only_a=tuple(only[0]), only_b=tuple(only[1]))


def budget_differing(a: Line, b: Line) -> tuple[Differing, ...]:
    """The parts of the budget that both know of and have otherwise."""
    return _differing(a.budget, b.budget, known_to_both=True)


def _same_settings(a: list[Line], b: list[Line]) -> list[Pair]:
    """Pairs with the same settings; they are taken from `a` and `b`."""
    made = []
    for line in list(a):
        alike = [
            other
            for other in b
            if line.settings and other.settings == line.settings and not budget_differing(line, other)
        ]
        alike.sort(key=lambda other: other.evaluation_id != line.evaluation_id)
        if alike:
            made.append(Pair(a=line, b=alike[0], differing=()))
            a.remove(line)
            b.remove(alike[0])
    return made


def _single(a: list[Line], b: list[Line]) -> list[Pair]:
    """Pairs of which each is the only one with the budget of the other; they are taken from `a` and `b`."""
    made = []
    for line in list(a):
        alike = [other for other in b if not budget_differing(line, other)]
        back = [other for other in a if alike and not budget_differing(other, alike[0])]
        if len(alike) == len(back) == 1:
            made.append(Pair(a=line, b=alike[0], differing=_differing(line.settings, alike[0].settings)))
    for pair in made:
        a.remove(pair.a)
        b.remove(pair.b)
    return made


def _refused(a: Line, b: Line) -> Refused:
    reasons = budget_differing(a, b)
    return Refused(a=a, b=b, reasons=reasons, ambiguous="" if reasons else _AMBIGUOUS)


def _differing(a: Mapping[str, str], b: Mapping[str, str], known_to_both: bool = False) -> tuple[Differing, ...]:
    names = [name for name in dict.fromkeys((*a, *b)) if not known_to_both or (name in a and name in b)]
    found = (Differing(name, a.get(name, "not there"), b.get(name, "not there")) for name in names)
    return tuple(each for each in found if each.a != each.b)
