"""What each page shows, chosen from a snapshot: a part of long lists, so that pages on thousands of runs stay small."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, get_args

from markupsafe import Markup

from glad_ray.progress.status import RunStatus, State
from glad_ray.report import wording
from glad_ray.report.figures.curves import accuracy_by_space
from glad_ray.report.tables.accuracy import Row, Score, Section, Table
from glad_ray.report.tables.identity import space_order
from glad_ray.results import TrialState
from glad_ray.serve.figures import Figures, read_curve, small_panel
from glad_ray.serve.results import Results
from glad_ray.serve.watch import Snapshot
from glad_ray.spec.algorithms import algorithm_order
from glad_ray.storage import Storage

RUNS_A_PAGE = 100
ROWS_A_PAGE = 60
FAILURES_A_PAGE = 20
PANELS_A_PAGE = 8
CURVES_A_PANEL = 8
_CARDS, _SMALL_CARDS = 4, 8
_PICTURES = 6
LATEST_FAILURES = 3
_READS_AT_ONCE = 16
Phase = Literal["running", "stopped", "finished", "failed"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Part(Generic[_T]):
    """A part of a long list."""

    items: Sequence[_T]
    number: int
    """of the page, from 1"""
    pages: int
    total: int

    @classmethod
    def of(cls, items: Sequence[_T], number: int, size: int) -> "Part[_T]":
        """The part on a page; a number that is too large or too small is the last or the first page."""
        pages = max(1, -(-len(items) // size))
        number = min(max(number, 1), pages)
        return cls(items[(number - 1) * size : number * size], number, pages, len(items))


def phase(snapshot: Snapshot) -> Phase:
    """What goes on, in one word: `stopped` where work is left and no driver is running."""
    if snapshot.driver is not None and snapshot.driver.alive:
        return "running"
    if snapshot.status is not None:
        states = set(snapshot.status.counts)
        return "stopped" if states - {"finished", "failed"} else "failed" if "failed" in states else "finished"
    states_of_trials = set() if snapshot.search is None else set(snapshot.search.counts)
    return "stopped" if "running" in states_of_trials or not states_of_trials else "finished"


PHASES: Mapping[Phase, str] = {
    "running": "Running",
    "stopped": "No driver is running",
    "finished": "Finished",
    "failed": "Finished, with failures",
}


@dataclass(frozen=True)
class Bar:
    """A state's part of the bar of all runs or trials."""

    state: State | TrialState
    count: int
    start: float
    """percent of the bar"""
    width: float


def bars(counts: Mapping[Any, int], order: Sequence[Any]) -> list[Bar]:
    """The parts of a bar, one after another."""
    total, start, made = sum(counts.values()) or 1, 0.0, []
    for state in order:
        if count := counts.get(state, 0):
            made.append(Bar(state, count, start, 100 * count / total))
            start += 100 * count / total
    return made


BAR_ORDER: tuple[State, ...] = (
    "finished", "failed", "evaluating", "distilling", "interrupted", "waiting for experts", "planned",
)  # fmt: skip
TRIAL_ORDER: tuple[TrialState, ...] = get_args(TrialState)


@dataclass(frozen=True)
class Card:
    """A run that goes on, or did when its driver ended."""

    status: RunStatus
    done: int
    """steps, or trainings once it is distilled"""
    wanted: int
    figure: Markup | None


def cards(snapshot: Snapshot, storage: Storage, figures: Figures) -> tuple[list[Card], int]:
    """Runs that are under way, the first of them with their losses, and how many there are in all."""
    if snapshot.status is None:
        return [], 0
    under_way = [each for each in snapshot.status.runs if each.state in ("distilling", "evaluating", "interrupted")]
    shown = under_way[: _CARDS + _SMALL_CARDS]
    drawn = panels(storage, [[each] for each in shown[:_CARDS]], figures)
    pictures: list[Markup | None] = [*drawn, *[None] * len(shown[_CARDS:])]
    return [
        Card(each, *_done(each, snapshot), figure) for each, figure in zip(shown, pictures, strict=True)
    ], len(under_way)  # fmt: skip


def _done(each: RunStatus, snapshot: Snapshot) -> tuple[int, int]:
    """Steps or trainings made, and all of them."""
    assert snapshot.status is not None
    if each.distilled:
        return each.trained, snapshot.status.sweep_progress.trainings_of(each.run)
    return 0 if each.progress is None else each.progress.step, each.run.steps


@dataclass(frozen=True)
class Experts:
    """A set of experts that runs need."""

    label: str
    trained: int
    wanted: int


def experts(snapshot: Snapshot) -> list[Experts]:
    """The sets of experts of a sweep."""
    if snapshot.status is None:
        return []
    counted = snapshot.status.sweep_progress
    return [Experts(each.label, counted.experts(each), each.experts.count) for each in snapshot.status.plan.expert_sets]


def panels(storage: Storage, groups: Sequence[Sequence[RunStatus]], figures: Figures) -> list[Markup | None]:
    """The losses of each group of runs of one algorithm, in one figure."""
    flat = [each for group in groups for each in group]
    keys = {each.run.run_id: _key(each) for each in flat}
    names = [tuple(keys[each.run.run_id] for each in group) for group in groups]
    missing = [each for group, key in zip(groups, names, strict=True) if not figures.has(key) for each in group]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        read = pool.map(lambda each: read_curve(storage, each), missing)
        curves = {each.run.run_id: curve for each, curve in zip(missing, read, strict=True) if curve is not None}
    made = []
    for group, key in zip(groups, names, strict=True):
        of_group = [curves[each.run.run_id] for each in group if each.run.run_id in curves]
        run = group[0].run
        title = f"Matching loss of {wording.run_name(run.algorithm.name, run.space)}"
        made.append(
            figures.draw(
                key,
                lambda of_group=of_group, run=run, title=title: small_panel(  # type: ignore[misc]
                    of_group, run.algorithm.name, f"loss-{run.run_id}", title
                ),
            )
        )
    return made


def _key(each: RunStatus) -> tuple[str, int, bool]:
    """What the losses of a run depend on."""
    return each.run.run_id, 0 if each.progress is None else each.progress.step, each.distilled


@dataclass(frozen=True)
class Losses:
    """The losses of runs that differ in their settings or seeds alone."""

    name: str
    place: str
    algorithm: str
    shown: Sequence[RunStatus]
    runs: int


def loss_groups(snapshot: Snapshot) -> list[Losses]:
    """Groups of runs that have losses, in the order of the tables."""
    groups: dict[tuple[Any, ...], list[RunStatus]] = {}
    for each in snapshot.statuses.values():
        run = each.run
        if run.distils and (each.distilled or "checkpoint" in each.entries):
            groups.setdefault((run.dataset, run.pixels, run.ipc, run.algorithm.name, run.space), []).append(each)
    order = sorted(groups, key=lambda key: (*key[:3], algorithm_order(key[3]), space_order(key[4])))
    return [
        Losses(
            name=wording.run_name(*key[3:]),
            place=wording.place(*key[:3]),
            algorithm=key[3],
            shown=sorted(groups[key], key=lambda each: (each.state == "finished", each.run.seed))[:CURVES_A_PANEL],
            runs=len(groups[key]),
        )
        for key in order
    ]


def filtered(snapshot: Snapshot, state: str, words: str) -> list[RunStatus]:
    """Runs in a state, whose label or id has all words."""
    wanted = words.lower().split()
    return [
        each
        for each in snapshot.statuses.values()
        if state in ("", each.state) and all(word in f"{each.run.label} {each.run.run_id}".lower() for word in wanted)
    ]


def headlines(snapshot: Snapshot, results: Results | None) -> dict[str, Score]:
    """By run id what runs scored under the first evaluation of their sweep."""
    if snapshot.status is None or results is None:
        return {}
    first = snapshot.status.plan.sweep.evaluations[0].content_id
    return {run_id: score for (run_id, evaluation), score in results.headlines.items() if evaluation == first}


def failures(snapshot: Snapshot) -> list[RunStatus]:
    """Runs that failed, the last first."""
    failed = [each for each in snapshot.statuses.values() if each.failure is not None]
    return sorted(failed, key=lambda each: _failed_at(each), reverse=True)


def _failed_at(each: RunStatus) -> datetime:
    assert each.failure is not None
    return each.failure.finished_at


def latest_pictures(snapshot: Snapshot) -> list[RunStatus]:
    """The runs that were distilled last, but for baselines where something is distilled."""
    distilled = [each for each in snapshot.statuses.values() if each.distilled and each.run.ipc is not None]
    made = [each for each in distilled if each.run.distils] or distilled
    at = {each.run.run_id: each.entries["distilled"].at for each in made if "distilled" in each.entries}
    told = [each for each in made if each.run.run_id in at]
    return sorted(told, key=lambda each: at[each.run.run_id], reverse=True)[:_PICTURES]


@dataclass(frozen=True)
class TableView:
    """A part of a table of accuracy."""

    section: Section
    title: str
    table: Table
    rows: Part[Row]
    best: frozenset[tuple[int, str | None]]
    """places in `rows`, and networks, of the best scores of an algorithm in the whole table"""
    figure: Markup | None

    def groups(self) -> Iterator[tuple[str, list[tuple[int, Row]]]]:
        """The rows with their places under the algorithm that distilled them; baselines under an empty name."""
        group: list[tuple[int, Row]] = []
        name = None
        for place, row in enumerate(self.rows.items):
            of_row = "" if row.is_baseline else row.algorithm
            if group and of_row != name:
                yield name or "", group
                group = []
            name = of_row
            group.append((place, row))
        if group:
            yield name or "", group


def table_view(results: Results, place: int, page: int, size: int, figures: Figures) -> TableView:
    """The table of a section."""
    section = results.sections[place]
    table = section.tables[0]
    part = Part.of(table.rows, page, size)
    figure = figures.draw(("accuracy", results.number, place), lambda: accuracy_by_space(table, f"accuracy-{place}"))
    name = results.evaluation_names.get(section.evaluation_id, "")
    title = wording.place(*section.place) + (f", {name}" if name else "")
    return TableView(section, title, table, part, _best(table, part), figure)


def _best(table: Table, part: Part[Row]) -> frozenset[tuple[int, str | None]]:
    """As `Table.best`, which looks through all rows for each cell."""
    highest: dict[tuple[str, str | None], float] = {}
    several: dict[str, int] = {}
    columns = (*table.networks, None)
    for row in table.rows:
        if row.is_baseline:
            continue
        several[row.algorithm] = several.get(row.algorithm, 0) + 1
        for network in columns:
            if (score := row.score(network)) is not None:
                key = row.algorithm, network
                highest[key] = max(highest.get(key, score.mean), score.mean)
    return frozenset(
        (place, network)
        for place, row in enumerate(part.items)
        for network in columns
        if not row.is_baseline
        and several[row.algorithm] > 1
        and (score := row.score(network)) is not None
        and score.mean == highest[row.algorithm, network]
    )
