"""`report/index.html`: everything results tell, on one page that needs nothing but itself."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glad_ray.errors import UserError
from glad_ray.report import wording
from glad_ray.report.budget import budgets
from glad_ray.report.figures import accuracy_by_space, loss_panel
from glad_ray.report.identity import Identity, identities, variants
from glad_ray.report.pictures import Picture, inline
from glad_ray.report.tables import Section, Table, sections, to_csv
from glad_ray.results import Failure, LossCurve, read_failures, read_losses, read_results
from glad_ray.results.parquet import damaged
from glad_ray.spec import DATASETS, Run, Sweep
from glad_ray.storage import Storage


def write_report(storage: Storage) -> str:
    """Write the page and its table as CSV, from what is on storage alone; returns the page's path on storage.

    Raises `DataError` naming a file that is damaged, `UserError` if the page cannot be written.
    """
    material = _read(storage)
    page = _environment().get_template("index.html.j2").render(_context(storage, material))
    try:
        storage.write_bytes(storage.REPORT_TABLE, to_csv(material.sections).encode())
        storage.write_bytes(storage.REPORT, page.encode())
    except OSError as error:
        raise UserError(f"The report cannot be written to {storage}/report: {error.strerror or error}.") from error
    return storage.REPORT


@dataclass(frozen=True)
class _Material:
    """What is on storage."""

    rows: list[dict[str, Any]]
    sweep: Sweep | None
    runs: dict[str, Run]
    """records by run id, of planned runs and of those begun"""
    failures: tuple[Failure, ...]
    identities: dict[str, Identity]
    variants: dict[str, str]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class _RunView:
    """A run as the page shows it."""

    run_id: str
    identity: Identity
    name: str
    """what tells it apart under a heading with its dataset: `DC f4, seed 1`"""
    row: dict[str, Any] | None
    """one of its rows, for what is the same in all; None if it has not been scored"""
    steps: int | None
    evaluate_seconds: float | None
    """mean of its trainings at the last step"""
    evaluate_peak_memory_bytes: int | None
    devices: str
    record: str | None


def _read(storage: Storage) -> _Material:
    rows = read_results(storage).to_pylist()
    sweep = _read_sweep(storage)
    runs = {run.run_id: run for run in (sweep.runs if sweep else ())}
    for folder in storage.list(storage.RUNS):
        run_id = folder.rpartition("/")[2]
        if run_id not in runs and storage.exists(storage.run_path(run_id)):
            runs[run_id] = _read_run(storage, run_id)
    known = identities(rows, runs)
    variant_of = variants(known, runs)
    return _Material(rows, sweep, runs, read_failures(storage), known, variant_of, sections(rows, variant_of))


def _read_sweep(storage: Storage) -> Sweep | None:
    if not storage.exists(storage.PLAN):
        return None
    try:
        return Sweep.model_validate(json.loads(storage.read_bytes(storage.PLAN))["sweep"])
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise damaged(storage, storage.PLAN) from error


def _read_run(storage: Storage, run_id: str) -> Run:
    try:
        return Run.model_validate_json(storage.read_bytes(storage.run_path(run_id)))
    except (UserError, ValueError) as error:
        raise damaged(storage, storage.run_path(run_id)) from error


def _context(storage: Storage, material: _Material) -> dict[str, Any]:
    views = _run_views(material)
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
        "sections": [_section(section, number) for number, section in enumerate(material.sections, 1)],
        "several_evaluations": len({row["evaluation_id"] for row in material.rows}) > 1,
        "pictures": _pictures(storage, views),
        "losses": _losses(storage, views),
        "views": [view for view in views if view.row is not None],
        "networks": _network_costs(material.rows),
        "versions_used": _versions(material.rows),
        "packages": sorted({package for versions, _ in _versions(material.rows) for package in versions}),
        "several_datasets": len(_by_dataset(views)) > 1,
        "class_names": _class_names,
    }


def _title(material: _Material) -> str:
    names = sorted({row["sweep"] for row in material.rows} | ({material.sweep.name} if material.sweep else set()))
    return wording.listed(names) if names else "results"


def _label(material: _Material, run_id: str) -> str:
    if run_id in material.runs:
        return material.runs[run_id].label
    identity = material.identities.get(run_id)
    return f"{identity.algorithm} {identity.space} {identity.dataset}" if identity else ""


def _section(section: Section, number: int) -> dict[str, Any]:
    """A section with, for each table, its figure, or the selection whose scores it repeats."""
    shown: list[tuple[Table, Table | None, Markup | None]] = []
    for table in section.tables:
        same = next((other for other, repeated, _ in shown if repeated is None and table.same_scores(other)), None)
        figure = None if same else accuracy_by_space(table, f"accuracy-{number}-{table.selection}")
        shown.append((table, same, None if figure is None else Markup(figure)))
    return {"section": section, "tables": shown}


def _run_views(material: _Material) -> list[_RunView]:
    rows_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in material.rows:
        if row["selection"] == "last":
            rows_of[row["run_id"]].append(row)
    seeds = {identity.seed for identity in material.identities.values()}
    views = []
    for run_id, identity in material.identities.items():
        rows, run = rows_of[run_id], material.runs.get(run_id)
        name = (
            "Random real images" if identity.algorithm == "random" else f"{identity.algorithm.upper()} {identity.space}"
        )
        parts = [name, material.variants[run_id], f"seed {identity.seed}" if len(seeds) > 1 else ""]
        views.append(
            _RunView(
                run_id=run_id,
                identity=identity,
                name=", ".join(part for part in parts if part),
                row=rows[0] if rows else None,
                steps=run.steps if run else max((row["step"] for row in rows), default=None),
                evaluate_seconds=_mean([row["evaluate_seconds"] for row in rows]),
                evaluate_peak_memory_bytes=max((row["evaluate_peak_memory_bytes"] for row in rows), default=None),
                devices=", ".join(sorted({row[f"{work}_device"] for row in rows for work in ("distill", "evaluate")})),
                record=run.model_dump_json(indent=1) if run else None,
            )
        )
    return sorted(views, key=lambda view: (view.identity.order, view.name))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _class_names(dataset: str) -> tuple[str, ...]:
    return DATASETS[dataset].class_names if dataset in DATASETS else ()


def _by_dataset(views: Sequence[_RunView]) -> dict[tuple[str, int, int], list[_RunView]]:
    groups: dict[tuple[str, int, int], list[_RunView]] = defaultdict(list)
    for view in views:
        groups[view.identity.dataset, view.identity.resolution, view.identity.ipc].append(view)
    return groups


def _pictures(
    storage: Storage, views: Sequence[_RunView]
) -> list[tuple[tuple[str, int, int], list[tuple[_RunView, Picture]]]]:
    found = []
    for key, of_dataset in _by_dataset(views).items():
        with_images = [view for view in of_dataset if storage.exists(storage.images_path(view.run_id))]
        pictures = [(view, inline(storage.read_bytes(storage.images_path(view.run_id)))) for view in with_images]
        if pictures:
            found.append((key, pictures))
    return found


def _losses(
    storage: Storage, views: Sequence[_RunView]
) -> list[tuple[tuple[str, int, int], list[tuple[str, str, Markup]]]]:
    """A panel per algorithm and space, its settings and seeds together."""
    found = []
    for group, (key, of_dataset) in enumerate(_by_dataset(views).items(), 1):
        curves: dict[tuple[str, str], list[LossCurve]] = defaultdict(list)
        for view in of_dataset:
            curve = read_losses(storage, view.run_id)
            if curve is not None and curve.losses:
                curves[view.identity.algorithm, view.identity.space].append(curve)
        panels = []
        for number, ((algorithm, space), of_panel) in enumerate(curves.items(), 1):
            name = f"{algorithm.upper()} {space}"
            runs = wording.counted(len(of_panel), "run") if len(of_panel) > 1 else ""
            drawn = loss_panel(
                of_panel, algorithm, f"loss-{group}-{number}", f"Matching loss of {name}: {_course(of_panel)}"
            )
            panels.append((name, runs, Markup(drawn)))
        if panels:
            found.append((key, panels))
    return found


def _course(curves: Sequence[LossCurve]) -> str:
    return "; ".join(
        f"{curve.losses[0]:.4g} at step 1, {curve.losses[-1]:.4g} at step {len(curve.losses)}" for curve in curves
    )


def _network_costs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    trainings: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["selection"] == "last":
            trainings[row["network"]].append(row)
    return [
        {
            "key": key,
            "trainings": len(of_network),
            "seconds": _mean([row["evaluate_seconds"] for row in of_network]),
            "memory": max(row["evaluate_peak_memory_bytes"] for row in of_network),
        }
        for key, of_network in trainings.items()
    ]


def _versions(rows: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, str], int]]:
    """Each set of package versions, and the number of runs made with it, the most used first."""
    of_run = {row["run_id"]: row["versions"] for row in rows}
    return [(json.loads(versions), number) for versions, number in Counter(of_run.values()).most_common()]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("glad_ray.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["wording"] = wording
    return environment
