"""Whether methods stand in the same order under two regimes of labels: Kendall's tau of their accuracies.

The methods are the rows of one dataset, resolution and number of images per class that both evaluations scored; the
whole dataset, which is no method, is left out. Tau is 1 where the orders are the same, -1 where one is the other
reversed, and about 0 where they have nothing to do with one another (Kendall, 1938; tau-b of 1945, which allows for
ties).
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glad_ray.report.tables.accuracy import Row, Section
from glad_ray.report.tables.identity import Place
from glad_ray.spec import Regime


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """A method, its accuracy under some evaluations, and where it stands among the others."""

    row: Row
    accuracies: tuple[float, ...]
    """0 to 1, on the unseen networks, or the backbone where no other was trained"""
    ranks: tuple[int, ...]
    """from 1, the best; equal accuracies have equal ones"""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two evaluations of different regimes agree on the order of the methods that both scored."""

    evaluation_ids: tuple[str, str]
    regimes: tuple[Regime, Regime]
    methods: int
    tau: float | None
    """None where there are fewer than two, or one evaluation finds all equal"""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The methods of one place under all evaluations that scored the same of them, and how these agree."""

    place: Place
    evaluation_ids: tuple[str, ...]
    regimes: tuple[Regime, ...]
    methods: tuple[Ranks, ...]
    """what all evaluations scored, in the order of tables"""
    agreements: tuple[Agreement, ...]
    """of every two of different regimes, over what these two scored"""

    def several(self, regime: Regime) -> bool:
        """Whether more than one evaluation is of a regime."""
        return self.regimes.count(regime) > 1


def orders(sections: Sequence[Section]) -> tuple[Orders, ...]:
    """Those of every place that two regimes scored two methods of, at the last step."""
    of_place: dict[Place, list[Section]] = {}
    for section in sections:
        of_place.setdefault(section.place, []).append(section)
    made = (_orders(place, of) for place, of in of_place.items())
    return tuple(each for each in made if each.agreements)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two rankings of the same things; None where either has no order.

    SciPy's takes seconds to load.
    """
    signs = [
        (_sign(a - b), _sign(c - d)) for (a, c), (b, d) in itertools.combinations(zip(first, second, strict=True), 2)
    ]
    ordered = math.prod(sum(abs(pair[which]) for pair in signs) for which in range(2))
    return sum(a * b for a, b in signs) / math.sqrt(ordered) if ordered else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _orders(place: Place, sections: Sequence[Section]) -> Orders:
    scored = [_accuracies(section) for section in sections]
    agreements = []
    for (one, first), (other, second) in itertools.combinations(zip(sections, scored, strict=True), 2):
        common = [run_ids for run_ids in first if run_ids in second]
        if one.regime == other.regime or len(common) < 2:
            continue
        values = [[of[run_ids] for run_ids in common] for of in (first, second)]
        agreements.append(
            Agreement(
                evaluation_ids=(one.evaluation_id, other.evaluation_id),
                regimes=(one.regime, other.regime),
                methods=len(common),
                tau=kendall_tau(*values),
            )
        )
    of_all = [row for row in sections[0].rows if all(row.run_ids in of for of in scored)]
    columns = [[of[row.run_ids] for row in of_all] for of in scored]
    methods = [
        Ranks(
            row=row,
            accuracies=tuple(column[number] for column in columns),
            ranks=tuple(1 + sum(other > column[number] for other in column) for column in columns),
        )
        for number, row in enumerate(of_all)
    ]
    return Orders(
        place=place,
        evaluation_ids=tuple(section.evaluation_id for section in sections),
        regimes=tuple(section.regime for section in sections),
        methods=tuple(methods),
        agreements=tuple(agreements),
    )


def _accuracies(section: Section) -> Mapping[tuple[str, ...], float]:
    """By the runs of a row, without the whole dataset."""
    rows = [row for row in section.rows if row.ipc is not None]
    return {row.run_ids: row.headline.mean for row in rows if row.headline is not None}
