"""`report/index.html`: everything results tell, on one page that needs nothing but itself."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from glad_ray.errors import UserError
from glad_ray.report import wording
from glad_ray.report.budget import budgets, distillations, profiles, real_images
from glad_ray.report.export import accuracies_csv, orders_csv, published_csv, scores_csv
from glad_ray.report.figures.curves import accuracy_by_space
from glad_ray.report.figures.sizes import accuracy_by_bytes
from glad_ray.report.odd_runs import without_odd_runs
from glad_ray.report.published.comparison import Comparison, context, shortfalls
from glad_ray.report.published.numbers import Published
from glad_ray.report.rendering import render
from glad_ray.report.report_data import Found, ReportData, make_report_data, read_found
from glad_ray.report.run_pages import run_pages
from glad_ray.report.run_pages.kept_pictures import KEPT_PICTURES_BYTES, MOST_KEPT_PICTURES, kept_pictures
from glad_ray.report.runs import losses, network_costs, pictures, read_curves, run_views
from glad_ray.report.tables.accuracy import Row, Section, Table
from glad_ray.report.tables.identity import Place, is_baseline
from glad_ray.report.tables.metrics import MetricTable
from glad_ray.report.tables.ranking import Ranked, lacking
from glad_ray.report.tables.sizes import COUNTED, sizes
from glad_ray.storage import Storage

MOST_STANDING = 500
"""runs whose pages stand in the document; of more, a script puts each there when it is asked for, for a browser takes
many seconds over a million elements
"""
_STAGES = {
    "experts": "while its experts were trained",
    "distill": "while distilling",
    "evaluate": "while being evaluated",
}


def write_report(storage: Storage) -> str:
    """Write the page and its tables as CSV, from what is on storage alone; returns the page's path on storage.

    What cannot be read, and a run that cannot be shown, is told on the page, and the others are shown. Raises
    `UserError` if there is no run at all, or the page cannot be written.
    """
    found = read_found(storage)
    if not (found.runs or found.rows or found.failures or found.problems):
        raise UserError(
            f"{storage} has no run of a sweep or search to report: `glad-ray sweep` and `glad-ray search` make "
            "them; what is kept of a set that was scored by itself, the same `glad-ray evaluate` command prints again."
        )
    try:
        files = _files(storage, found)
    except Exception:
        files = _files(storage, without_odd_runs(found, lambda some: _files(storage, some)))
    try:
        for path, text in files.items():
            # What is no text, names of files in another encoding, is escaped.
            storage.write_bytes(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(f"The report cannot be written to {storage}/report: {error.strerror or error}.") from error
    return storage.REPORT


def _files(storage: Storage, found: Found) -> dict[str, str]:
    """The content of the tables and the page, by path on storage; the page comes last."""
    data = make_report_data(found)
    context = _context(storage, data)
    return {
        storage.REPORT_TABLE: accuracies_csv(data.sections),
        storage.REPORT_PUBLISHED: published_csv(zip(data.sections, data.compared, strict=True)),
        storage.REPORT_SCORES: scores_csv(zip(data.sections, data.ranked, strict=True)),
        storage.REPORT_ORDERS: orders_csv(data.orders),
        storage.REPORT_ORDERS_TEXT: render("orders.md.j2", context),
        storage.REPORT: render("index.html.j2", context),
    }


@dataclass(frozen=True, kw_only=True)
class _SectionView:
    """A section as the page shows it."""

    section: Section
    evaluation: str
    """what distinguishes its evaluation; empty if there is one only"""
    tables: list[tuple[Table, Table | None, Markup | None]]
    metrics: tuple[MetricTable, ...]
    compared: tuple[Comparison, ...]
    shortfalls: tuple[str, ...]
    context: tuple[Published, ...]
    ranked: list[tuple[Row, Ranked | None, Ranked | None]]
    lacking: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its heading without the evaluation."""
        return wording.place(*self.section.place)


def _context(storage: Storage, data: ReportData) -> dict[str, Any]:
    problems = list(data.problems)
    views = run_views(data.rows, data.identities, data.variants, data.runs)
    curves = read_curves(storage, views, problems.append)
    kept = kept_pictures(storage, views, data.runs, problems.append)
    places = _shown_places(data)
    shown = pictures(storage, [view for view in views if view.identity.place in places], problems.append)
    scored = {row["run_id"] for row in data.rows}
    failed = {failure.run_id for failure in data.failures}
    return {
        "title": _title(data),
        "sweep": data.sweep,
        "finished_at": max((row["finished_at"] for row in data.rows), default=None),
        "scored": len(scored),
        "runs_known": len(data.identities.keys() | failed),
        "unfinished": [view for view in views if view.run_id not in scored | failed],
        "failures": [(failure, _label(data, failure.run_id)) for failure in data.failures],
        "distillations": distillations(data.rows, data.runs),
        "real_images": real_images(data.rows),
        "profiles": profiles(data.rows),
        "budgets": budgets(data.rows, data.runs),
        "sections": _views(data),
        "evaluation_names": data.evaluation_names,
        "sizes": [
            (of, Markup(accuracy_by_bytes(of, f"bytes-{number}"))) for number, of in enumerate(sizes(data.sections), 1)
        ],
        "orders": [of for of in data.orders if of.place in places],
        "bytes_counted": COUNTED,
        "pictures": shown,
        "pictured": {view.run_id for _, of_place, _ in shown for view, _ in of_place},
        "losses": losses(views, curves),
        "problems": problems,
        "views": [view for view in views if view.row is not None],
        "run_pages": run_pages(storage, data, views, curves, kept),
        "most_standing": MOST_STANDING,
        "pages_of": {view.run_id for view in views},
        "pictures_left_out": len(kept.left_out),
        "most_kept": MOST_KEPT_PICTURES,
        "kept_bytes": KEPT_PICTURES_BYTES,
        "stages": _STAGES,
        "networks": network_costs(data.rows),
        "versions_used": _versions(data.rows),
        "packages": sorted({package for versions, _ in _versions(data.rows) for package in versions}),
        "several_datasets": len({view.identity.place for view in views if view.identity.ipc is not None}) > 1,
        "class_names": lambda dataset: _class_names(data, dataset),
    }


def _title(data: ReportData) -> str:
    names = sorted({row["sweep"] for row in data.rows} | ({data.sweep.name} if data.sweep else set()))
    return wording.listed(names) if names else "results"


def _label(data: ReportData, run_id: str) -> str:
    if run_id in data.runs:
        return data.runs[run_id].label
    identity = data.identities.get(run_id)
    return f"{identity.algorithm} {identity.space} {identity.dataset}" if identity else ""


def _shown_places(data: ReportData) -> set[Place]:
    """The datasets, resolutions and images per class that have a part of the page.

    Not those with nothing but baselines beside others where something is distilled: baselines of as many bytes have
    images per class of their own, and are in the files and in the part on bytes.
    """
    places = {of.place for of in data.identities.values()}
    distilled = {of.place for of in data.identities.values() if not is_baseline(of.algorithm)}
    of_distilled = {place[:2] for place in distilled}
    return {place for place in places if place in distilled or place[:2] not in of_distilled}


def _views(data: ReportData) -> list[_SectionView]:
    places = _shown_places(data)
    shown = [number for number, section in enumerate(data.sections) if section.ipc is None or section.place in places]
    return [
        _SectionView(
            section=data.sections[number],
            evaluation=data.evaluation_names[data.sections[number].evaluation_id],
            tables=_tables(data.sections[number], place),
            metrics=data.metrics[number],
            compared=data.compared[number],
            shortfalls=shortfalls(data.compared[number], data.runs),
            context=context(data.sections[number], data.compared[number]),
            ranked=_shown(data.ranked[number]),
            lacking=lacking(data.ranked[number]),
        )
        for place, number in enumerate(shown, 1)
    ]


def _tables(section: Section, number: int) -> list[tuple[Table, Table | None, Markup | None]]:
    """Each table with its figure, or with the table whose scores it repeats."""
    shown: list[tuple[Table, Table | None, Markup | None]] = []
    for table in section.tables:
        same = next((other for other, repeated, _ in shown if repeated is None and table.same_scores(other)), None)
        figure = None if same else accuracy_by_space(table, f"accuracy-{number}-{table.selection}")
        shown.append((table, same, None if figure is None else Markup(figure)))
    return shown


def _shown(scored: Sequence[Ranked]) -> list[tuple[Row, Ranked | None, Ranked | None]]:
    """Rows with their scores on the backbone and on the mean of the unseen networks; those without any left out."""
    by_row: dict[tuple[str, ...], dict[str, Ranked]] = {}
    for one in scored:
        seen = one.network is not None and one.row.scores[one.network].seen
        if (one.network is None or seen) and not one.empty:
            by_row.setdefault(one.row.run_ids, {})["unseen" if one.network is None else "seen"] = one
    return [
        (next(iter(of_row.values())).row, of_row.get("seen"), of_row.get("unseen")) for of_row in by_row.values()
    ]  # fmt: skip


def _class_names(data: ReportData, dataset: str) -> tuple[str, ...]:
    return data.datasets[dataset].class_names if dataset in data.datasets else ()


def _versions(rows: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, str], int]]:
    """Each set of package versions, and the number of runs made with it, the most used first."""
    of_run = {row["run_id"]: row["versions"] for row in rows}
    return [(_read_versions(versions), number) for versions, number in Counter(of_run.values()).most_common()]


def _read_versions(text: str) -> dict[str, str]:
    try:
        versions = json.loads(text)
    except ValueError:
        return {}
    return versions if isinstance(versions, dict) else {}
