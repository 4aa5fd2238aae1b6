"""What the report is made of: everything on storage that it tells, read and computed once.

A file that is damaged, or that storage does not give, costs the report what is in it alone: it is told, and the rest is
shown.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from glad_ray.errors import UserError
from glad_ray.plan import Plan, as_stored
from glad_ray.report.published.comparison import Comparison, comparisons
from glad_ray.report.tables.accuracy import SELECTIONS, Section, sections
from glad_ray.report.tables.conditions import evaluation_names
from glad_ray.report.tables.identity import Identity, identities, known_datasets, variants
from glad_ray.report.tables.metrics import MetricTable, metric_tables
from glad_ray.report.tables.orders import Orders, orders
from glad_ray.report.tables.ranking import Ranked, ranked
from glad_ray.results import Failure, read_failures, read_results, read_run
from glad_ray.results.parquet import damaged, read_or_tell
from glad_ray.spec import DatasetFacts, Run, Sweep
from glad_ray.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was read from storage."""

    rows: list[dict[str, Any]]
    sweep: Sweep | None
    runs: dict[str, Run]
    """records by run id, of planned runs and of those begun"""
    failures: tuple[Failure, ...]
    problems: tuple[str, ...]
    """sentences on what could not be read"""

    @property
    def run_ids(self) -> list[str]:
        """Of all runs that anything is known of."""
        of_rows = (row["run_id"] for row in self.rows)
        return list(dict.fromkeys((*of_rows, *self.runs, *(failure.run_id for failure in self.failures))))

    def only(self, run_ids: Collection[str], problems: Collection[str] = ()) -> "Found":
        """What was found of some runs, with further problems."""
        return replace(
            self,
            rows=[row for row in self.rows if row["run_id"] in run_ids],
            runs={run_id: run for run_id, run in self.runs.items() if run_id in run_ids},
            failures=tuple(failure for failure in self.failures if failure.run_id in run_ids),
            problems=(*self.problems, *problems),
        )


@dataclass(frozen=True, kw_only=True)
class ReportData:
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
    metrics: list[tuple[MetricTable, ...]]
    """of each section"""
    orders: tuple[Orders, ...]
    """of methods, of every place that several regimes scored"""
    problems: tuple[str, ...]
    """sentences on what could not be read or shown"""


def read_found(storage: Storage) -> Found:
    """Read all there is."""
    problems: list[str] = []
    sweep = read_or_tell(partial(_read_sweep, storage), problems.append)
    runs = {run.run_id: run for run in (sweep.runs if sweep else ())}
    for folder in storage.list(storage.RUNS):
        run_id = folder.rpartition("/")[2]
        if run_id not in runs and storage.exists(storage.run_path(run_id)):
            run = read_or_tell(partial(read_run, storage, run_id), problems.append)
            if run is not None:
                runs[run_id] = run
    rows = read_results(storage, problems.append).to_pylist()
    for run_id in dict.fromkeys(row["run_id"] for row in rows if row["selection"] not in SELECTIONS):
        problems.append(f"Run {run_id} has rows with a selection that this version of glad_ray does not know.")
    return Found(
        rows=[row for row in rows if row["selection"] in SELECTIONS],
        sweep=sweep,
        runs=runs,
        failures=read_failures(storage, problems.append),
        problems=tuple(problems),
    )


def make_report_data(found: Found) -> ReportData:
    """What the report shows of what was found, evaluations in the order of the plan."""
    evaluations = {evaluation.content_id: evaluation for evaluation in (found.sweep.evaluations if found.sweep else ())}
    planned = list(evaluations)
    rows = sorted(
        found.rows,
        key=lambda row: planned.index(row["evaluation_id"]) if row["evaluation_id"] in planned else len(planned),
    )
    known = identities(rows, found.runs)
    variant_of = variants(known, found.runs)
    made = sections(rows, variant_of)
    return ReportData(
        rows=rows,
        sweep=found.sweep,
        runs=found.runs,
        datasets=known_datasets(found.runs),
        failures=found.failures,
        identities=known,
        variants=variant_of,
        evaluation_names=evaluation_names(rows),
        sections=made,
        compared=[comparisons(section, found.runs) for section in made],
        ranked=[ranked(section, made, evaluations) for section in made],
        metrics=metric_tables(made, rows),
        orders=orders(made),
        problems=found.problems,
    )


def _read_sweep(storage: Storage) -> Sweep | None:
    if not storage.exists(storage.PLAN):
        return None
    try:
        sweep = Sweep.model_validate(json.loads(storage.read_bytes(storage.PLAN))["sweep"])
        return as_stored(Plan(sweep, sweep.runs, ()), storage).sweep
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise damaged(storage, storage.PLAN) from error
