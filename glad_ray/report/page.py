"""`report/index.html`: everything results tell, on one page that needs nothing but itself."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from glad_ray.errors import UserError
from glad_ray.report import wording
from glad_ray.report.budget import budgets
from glad_ray.report.export import accuracies_csv, published_csv, scores_csv
from glad_ray.report.figures import accuracy_by_space
from glad_ray.report.identity import Place, is_baseline
from glad_ray.report.material import Found, Material, read_found, work_out
from glad_ray.report.published import Comparison, Published, context, shortfalls
from glad_ray.report.ranking import Ranked, lacking
from glad_ray.report.rendering import render
from glad_ray.report.runs import losses, network_costs, pictures, run_views
from glad_ray.report.size_figure import accuracy_by_bytes
from glad_ray.report.sizes import COUNTED, sizes
from glad_ray.report.tables import Row, Section, Table
from glad_ray.storage import Storage


def write_report(storage: Storage) -> str:
    """Write the page and its tables as CSV, from what is on storage alone; returns the page's path on storage.

    What cannot be read, and a run that cannot be shown, is told on the page, and the others are shown. Raises
    `UserError` if the page cannot be written.
    """
    found = read_found(storage)
    try:
        files = _files(storage, found)
    except Exception:
        files = _files(storage, _without_odd_runs(storage, found))
    try:
        for path, text in files.items():
            # What is no text, names of files in another encoding, is escaped.
            storage.write_bytes(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(f"The report cannot be written to {storage}/report: {error.strerror or error}.") from error
    return storage.REPORT


def _files(storage: Storage, found: Found) -> dict[str, str]:
    """The content of the tables and the page, by path on storage; the page comes last."""
    material = work_out(found)
    return {
        storage.REPORT_TABLE: accuracies_csv(material.sections),
        storage.REPORT_PUBLISHED: published_csv(zip(material.sections, material.compared, strict=True)),
        storage.REPORT_SCORES: scores_csv(zip(material.sections, material.ranked, strict=True)),
        storage.REPORT: render("index.html.j2", _context(storage, material)),
    }


def _without_odd_runs(storage: Storage, found: Found) -> Found:
    """The same without the runs that break the page; raises what breaks it if that is no run."""
    problems: list[str] = []
    _files(storage, found.only([]))

    def sound(run_ids: list[str], beside: list[str]) -> list[str]:
        """Those that the page can show beside others, found by halving."""
        try:
            _files(storage, found.only({*beside, *run_ids}))
        except Exception as error:
            if len(run_ids) == 1:
                reason = f"{type(error).__name__}: {error}"
                problems.append(f"Run {run_ids[0]} is left out, for it cannot be shown ({reason}).")
                return []
            half = len(run_ids) // 2
            first = sound(run_ids[:half], beside)
            return first + sound(run_ids[half:], beside + first)
        return run_ids

    return found.only(sound(found.run_ids, []), problems)


@dataclass(frozen=True, kw_only=True)
class _SectionView:
    """A section as the page shows it."""

    section: Section
    evaluation: str
    """what distinguishes its evaluation; empty if there is one only"""
    tables: list[tuple[Table, Table | None, Markup | None]]
    compared: tuple[Comparison, ...]
    shortfalls: tuple[str, ...]
    context: tuple[Published, ...]
    ranked: list[tuple[Row, Ranked | None, Ranked | None]]
    lacking: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its heading without the evaluation."""
        return wording.place(*self.section.place)


def _context(storage: Storage, material: Material) -> dict[str, Any]:
    problems = list(material.problems)
    views = run_views(material.rows, material.identities, material.variants, material.runs)
    scored = {row["run_id"] for row in material.rows}
    failed = {failure.run_id for failure in material.failures}
    return {
        "title": _title(material),
        "sweep": material.sweep,
        "finished_at": max((row["finished_at"] for row in material.rows), default=None),
        "scored": len(scored),
        "runs_known": len(material.identities.keys() | failed),
        "unfinished": [view for view in views if view.run_id not in scored | failed],
        "failures": [(failure, _label(material, failure.run_id)) for failure in material.failures],
        "budgets": budgets(material.rows, material.runs),
        "sections": _views(material),
        "evaluation_names": material.evaluation_names,
        "sizes": [
            (of, Markup(accuracy_by_bytes(of, f"bytes-{number}")))
            for number, of in enumerate(sizes(material.sections), 1)
        ],
        "bytes_counted": COUNTED,
        "pictures": pictures(
            storage, [view for view in views if _is_shown(material, view.identity.place)], problems.append
        ),
        "losses": losses(storage, views, problems.append),
        "problems": problems,
        "views": [view for view in views if view.row is not None],
        "networks": network_costs(material.rows),
        "versions_used": _versions(material.rows),
        "packages": sorted({package for versions, _ in _versions(material.rows) for package in versions}),
        "several_datasets": len({view.identity.place for view in views if view.identity.ipc is not None}) > 1,
        "class_names": lambda dataset: _class_names(material, dataset),
    }


def _title(material: Material) -> str:
    names = sorted({row["sweep"] for row in material.rows} | ({material.sweep.name} if material.sweep else set()))
    return wording.listed(names) if names else "results"


def _label(material: Material, run_id: str) -> str:
    if run_id in material.runs:
        return material.runs[run_id].label
    identity = material.identities.get(run_id)
    return f"{identity.algorithm} {identity.space} {identity.dataset}" if identity else ""


def _is_shown(material: Material, place: Place) -> bool:
    """Whether a dataset, resolution and images per class have a part of the page.

    Not those with nothing but baselines beside others where something is distilled: baselines of as many bytes have
    images per class of their own, and are in the files and in the part on bytes.
    """
    distilled = {of.place for of in material.identities.values() if not is_baseline(of.algorithm)}
    return place in distilled or place[:2] not in {other[:2] for other in distilled}


def _views(material: Material) -> list[_SectionView]:
    shown = [
        number
        for number, section in enumerate(material.sections)
        if section.ipc is None or _is_shown(material, section.place)
    ]
    return [
        _SectionView(
            section=material.sections[number],
            evaluation=material.evaluation_names[material.sections[number].evaluation_id],
            tables=_tables(material.sections[number], place),
            compared=material.compared[number],
            shortfalls=shortfalls(material.compared[number], material.runs),
            context=context(material.sections[number], material.compared[number]),
            ranked=_shown(material.ranked[number]),
            lacking=lacking(material.ranked[number]),
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


def _class_names(material: Material, dataset: str) -> tuple[str, ...]:
    return material.datasets[dataset].class_names if dataset in material.datasets else ()


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
