"""What the page of a run tells, put together."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from glad_ray.report import wording
from glad_ray.report.pictures import Picture
from glad_ray.report.report_data import ReportData
from glad_ray.report.run_pages.command import Command, commands
from glad_ray.report.run_pages.curve import course, loss_curve
from glad_ray.report.run_pages.evaluated import EvaluatedRun, evaluated
from glad_ray.report.run_pages.kept_pictures import KeptPictures
from glad_ray.report.runs import RunView
from glad_ray.results import Failure, LossCurve
from glad_ray.storage import Storage


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """A run as its own page shows it."""

    view: RunView
    title: str
    """unique to it in the report where its settings are"""
    state: str
    """scored, failed or not finished"""
    failure: Failure | None
    command: Command | None
    curve: Markup | None
    course: str
    """its losses in words; empty without any"""
    pictures: tuple[tuple[int, Picture], ...]
    """of the kept sets before the last step, with their steps"""
    pictures_left_out: bool
    """whether it kept such sets, and the report has no room for them"""
    evaluations: tuple[EvaluatedRun, ...]
    environment: tuple[tuple[str, str], ...]
    """versions, devices and precision: names and values"""
    costs: tuple[tuple[str, str], ...]
    """seconds and memory: names and values"""
    before: str
    """id of the run whose page comes before; empty of the first"""
    after: str


def run_pages(
    storage: Storage,
    data: ReportData,
    views: Sequence[RunView],
    curves: Mapping[str, LossCurve],
    kept: KeptPictures,
) -> list[RunPage]:
    """A page for every run that is known, in the order of tables."""
    rows_of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in data.rows:
        rows_of[row["run_id"]].append(row)
    failures = {failure.run_id: failure for failure in data.failures}
    command_of = commands(storage, data.sweep, data.runs)
    ids = ["", *(view.run_id for view in views), ""]
    pages = []
    for number, view in enumerate(views, 1):
        rows, curve, failure = rows_of.get(view.run_id, []), curves.get(view.run_id), failures.get(view.run_id)
        evaluations = evaluated(rows)
        pages.append(
            RunPage(
                view=view,
                title=f"{view.name}, {wording.place(*view.identity.place)}",
                state="scored" if rows else "failed" if failure else "not finished",
                failure=failure,
                command=command_of.get(view.run_id),
                curve=None if curve is None else loss_curve(curve, view.identity.algorithm),
                course="" if curve is None else course(curve),
                pictures=kept.by_run.get(view.run_id, ()),
                pictures_left_out=view.run_id in kept.left_out,
                evaluations=evaluations,
                environment=_environment(rows),
                costs=_costs(view, rows, evaluations),
                before=ids[number - 1],
                after=ids[number + 1],
            )
        )
    return pages


def _environment(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    if not rows:
        return ()
    said = {
        "Distilled on": _all(rows, "distill_device"),
        "Evaluated on": _all(rows, "evaluate_device"),
        "Precision of distillation": _all(rows, "distill_precision"),
        "Precision of evaluation": _all(rows, "evaluate_precision"),
    }
    return (*said.items(), *_versions(rows[0]["versions"]).items())


def _all(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    values = dict.fromkeys(row[column] for row in rows if row[column] is not None)
    return ", ".join(values) or "not known"


def _versions(text: str) -> dict[str, str]:
    try:
        versions = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(version) for name, version in versions.items()} if isinstance(versions, dict) else {}


def _costs(
    view: RunView, rows: Sequence[Mapping[str, Any]], evaluations: Sequence[EvaluatedRun]
) -> tuple[tuple[str, str], ...]:
    if not rows:
        return ()
    row = rows[0]
    said = [("Distillation", wording.duration(row["distill_seconds"]))]
    if view.steps:
        said.append(("Distillation, a step", wording.duration(row["distill_seconds"] / view.steps)))
    return (
        *said,
        ("Distillation, peak memory", wording.memory(row["distill_peak_memory_bytes"])),
        ("Trainings in the tables, together", wording.duration(sum(each.seconds for each in evaluations))),
        ("Training, peak memory", wording.memory(max(each["evaluate_peak_memory_bytes"] for each in rows))),
        ("Bytes of the set", wording.size(row["set_bytes"])),
        ("Bytes of the generator", wording.size(row["generator_bytes"]) if row["generator_bytes"] else "none"),
    )
