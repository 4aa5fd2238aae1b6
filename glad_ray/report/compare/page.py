"""`report/compare.html`: the cells that two storages share with the difference, and what only one of them has."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.errors import UserError
from glad_ray.report import wording
from glad_ray.report.compare.cells import Cell, ComparedLine, compared
from glad_ray.report.compare.export import differences_csv
from glad_ray.report.compare.lines import Line, lines
from glad_ray.report.compare.matching import Differing, match
from glad_ray.report.odd_runs import without_odd_runs
from glad_ray.report.rendering import render
from glad_ray.report.report_data import Found, ReportData, make_report_data, read_found
from glad_ray.report.tables.accuracy import SELECTIONS, headline, natural_order, scores_of
from glad_ray.report.tables.identity import Place, ipc_order, space_order
from glad_ray.spec.algorithms import algorithm_order
from glad_ray.storage import Storage


def write_comparison(a: Storage, b: Storage) -> str:
    """Write the page and its table as CSV into storage `a`, from what is on both; returns the page's path there.

    Raises `UserError` if either has no results, both are the same storage, or the page cannot be written.
    """
    if a.uri == b.uri:
        raise UserError(f"{a} cannot be compared with itself: name two storages.")
    found = read_found(a), read_found(b)
    for storage, of_storage in zip((a, b), found, strict=True):
        if not of_storage.rows:
            raise UserError(f"{storage} has no results to compare: name the storage of a sweep that has scored runs.")
    try:
        files = _files(a, b, *found)
    except Exception:
        nothing = found[0].only([]), found[1].only([])
        sound_a = without_odd_runs(found[0], lambda some: _files(a, b, some, nothing[1]))
        sound_b = without_odd_runs(found[1], lambda some: _files(a, b, nothing[0], some))
        files = _files(a, b, sound_a, sound_b)
    try:
        for path, text in files.items():
            a.write_bytes(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(
            f"The comparison cannot be written to {a}/report: {error.strerror or error}. It is written to the first "
            "storage: name one first that can be written to."
        ) from error
    return a.REPORT_COMPARISON


@dataclass(frozen=True, kw_only=True)
class _Group:
    """A dataset, resolution, images per class and selection that both have."""

    place: Place
    selection: str
    lines: tuple[ComparedLine, ...]

    @property
    def by_network(self) -> list[tuple[ComparedLine, Cell]]:
        return [(line, cell) for line in self.lines for cell in line.cells]


def _files(a: Storage, b: Storage, found_a: Found, found_b: Found) -> dict[str, str]:
    data = make_report_data(found_a), make_report_data(found_b)
    matched = match(lines(data[0]), lines(data[1]))
    made = sorted((compared(pair) for pair in matched.pairs), key=lambda line: _order(line.pair.a))
    of_group: dict[tuple[Place, str], list[ComparedLine]] = defaultdict(list)
    for line in made:
        of_group[line.pair.a.place, line.pair.a.selection].append(line)
    context = {
        "title": f"{_name(data[0])} and {_name(data[1])}",
        "sides": [_side("A", a, data[0]), _side("B", b, data[1])],
        "groups": [
            _Group(place=place, selection=selection, lines=tuple(of_one))
            for (place, selection), of_one in of_group.items()
        ],
        "refused": sorted(matched.refused, key=lambda each: _order(each.a)),
        "only": [
            ("A", sorted(matched.only_a, key=_order)),
            ("B", sorted(matched.only_b, key=_order)),
        ],
        "headline": lambda line: headline(scores_of(line.rows)),
        "in_words": _in_words,
        "problems": [
            f"In {name}: {problem}" for name, one in zip("AB", data, strict=True) for problem in one.problems
        ],
    }  # fmt: skip
    return {
        a.REPORT_COMPARISON_TABLE: differences_csv(made),
        a.REPORT_COMPARISON: render("compare.html.j2", context),
    }


def _side(name: str, storage: Storage, data: ReportData) -> dict[str, Any]:
    return {
        "name": name,
        "storage": str(storage),
        "sweep": _name(data),
        "scored": len({row["run_id"] for row in data.rows}),
        "failed": len(data.failures),
        "versions": sorted({row["versions"] for row in data.rows}),
    }


def _name(data: ReportData) -> str:
    names = sorted({row["sweep"] for row in data.rows} | ({data.sweep.name} if data.sweep else set()))
    return wording.listed(names) or "results"


def _in_words(differing: Sequence[Differing]) -> str:
    """`algorithm.learning_rates.f: 1 in A, 10 in B`."""
    return "; ".join(f"{each.name.removeprefix('algorithm.')}: {each.a} in A, {each.b} in B" for each in differing)


def _order(line: Line) -> tuple[Any, ...]:
    dataset, resolution, ipc = line.place
    return (
        (dataset, resolution, ipc_order(ipc), SELECTIONS.index(line.selection)),
        (algorithm_order(line.algorithm), space_order(line.space), natural_order(line.variant), line.evaluation),
    )
