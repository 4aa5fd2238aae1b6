"""What the report is made of: everything on storage that it tells, read and worked out once."""

import json
from dataclasses import dataclass
from typing import Any

from glad_ray.errors import UserError
from glad_ray.plan import Plan, as_stored
from glad_ray.report.conditions import evaluation_names
from glad_ray.report.identity import Identity, identities, known_datasets, variants
from glad_ray.report.published import Comparison, comparisons
from glad_ray.report.ranking import Ranked, ranked
from glad_ray.report.tables import Section, sections
from glad_ray.results import Failure, read_failures, read_results
from glad_ray.results.parquet import damaged
from glad_ray.spec import DatasetFacts, Run, Sweep
from glad_ray.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is on storage, and the tables made of it."""

    rows: list[dict[str, Any]]
    sweep: Sweep | None
    runs: dict[str, Run]
    """records by run id, of planned runs and of those begun"""
    datasets: dict[str, DatasetFacts]
    """by name: those that have names, and the user's own that records tell of"""
    failures: tuple[Failure, ...]
    identities: dict[str, Identity]
    variants: dict[str, str]
    evaluation_names: dict[str, str]
    sections: tuple[Section, ...]
    compared: list[tuple[Comparison, ...]]
    """of each section"""
    ranked: list[tuple[Ranked, ...]]
    """of each section"""


def read_material(storage: Storage) -> Material:
    """Read all there is, evaluations in the order of the plan; raises `DataError` naming a file that is damaged."""
    sweep = _read_sweep(storage)
    evaluations = {evaluation.content_id: evaluation for evaluation in (sweep.evaluations if sweep else ())}
    planned = list(evaluations)
    rows = sorted(
        read_results(storage).to_pylist(),
        key=lambda row: planned.index(row["evaluation_id"]) if row["evaluation_id"] in planned else len(planned),
    )
    runs = {run.run_id: run for run in (sweep.runs if sweep else ())}
    for folder in storage.list(storage.RUNS):
        run_id = folder.rpartition("/")[2]
        if run_id not in runs and storage.exists(storage.run_path(run_id)):
            runs[run_id] = _read_run(storage, run_id)
    known = identities(rows, runs)
    variant_of = variants(known, runs)
    made = sections(rows, variant_of)
    return Material(
        rows=rows,
        sweep=sweep,
        runs=runs,
        datasets=known_datasets(runs),
        failures=read_failures(storage),
        identities=known,
        variants=variant_of,
        evaluation_names=evaluation_names(rows),
        sections=made,
        compared=[comparisons(section, runs) for section in made],
        ranked=[ranked(section, made, evaluations) for section in made],
    )


def _read_sweep(storage: Storage) -> Sweep | None:
    if not storage.exists(storage.PLAN):
        return None
    try:
        sweep = Sweep.model_validate(json.loads(storage.read_bytes(storage.PLAN))["sweep"])
        return as_stored(Plan(sweep, sweep.runs, ()), storage).sweep
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise damaged(storage, storage.PLAN) from error


def _read_run(storage: Storage, run_id: str) -> Run:
    try:
        return Run.model_validate_json(storage.read_bytes(storage.run_path(run_id))).stored_as(run_id)
    except (UserError, ValueError) as error:
        raise damaged(storage, storage.run_path(run_id)) from error
