"""The tables of the report as fields of a JSON document; docs/schemas/report.json describes them."""

from collections.abc import Mapping
from typing import Any

from glad_ray.report.odd_runs import without_odd_runs
from glad_ray.report.report_data import ReportData, make_report_data, read_found
from glad_ray.report.tables.accuracy import Row, Score, Section, Table
from glad_ray.report.tables.orders import Orders
from glad_ray.storage import Storage


def report_fields(storage: Storage, page: str | None, search_page: str | None) -> dict[str, Any]:
    """What the report shows of a storage, accuracies from 0 to 1. `page` and `search_page`: paths on storage of the
    report of the sweep and of the search; None: there is none.
    """
    found = read_found(storage)
    try:
        data = make_report_data(found)
    except Exception:
        data = make_report_data(without_odd_runs(found, make_report_data))
    return {
        "storage": str(storage),
        "page": None if page is None else f"{storage}/{page}",
        "search_page": None if search_page is None else f"{storage}/{search_page}",
        "sweep": None if data.sweep is None else data.sweep.name,
        "sections": [_section_fields(section, data) for section in data.sections],
        "orders": [_orders_fields(of) for of in data.orders],
        "failures": [failure.model_dump(mode="json", exclude={"traceback"}) for failure in data.failures],
        "problems": list(data.problems),
    }


def _section_fields(section: Section, data: ReportData) -> dict[str, Any]:
    return {
        "dataset": section.dataset,
        "resolution": section.resolution,
        "ipc": section.ipc,
        "evaluation_id": section.evaluation_id,
        "evaluation": data.evaluation_names.get(section.evaluation_id, ""),
        "tables": [_table_fields(table) for table in section.tables],
    }


def _orders_fields(of: Orders) -> dict[str, Any]:
    dataset, resolution, ipc = of.place
    return {
        "dataset": dataset,
        "resolution": resolution,
        "ipc": ipc,
        "between": [
            {
                "evaluation_ids": list(one.evaluation_ids),
                "regimes": list(one.regimes),
                "methods": one.methods,
                "kendall_tau": one.tau,
            }
            for one in of.agreements
        ],
    }


def _table_fields(table: Table) -> dict[str, Any]:
    return {"selection": table.selection, "rows": [_row_fields(row) for row in table.rows]}


def _row_fields(row: Row) -> dict[str, Any]:
    return {
        "algorithm": row.algorithm,
        "space": row.space,
        "generator": row.generator,
        "variant": row.variant,
        "ipc": row.ipc,
        "regime": row.conditions.regime,
        "labels": row.conditions.labels,
        "augmentation": row.conditions.augmentation,
        "epochs": row.conditions.epochs,
        "set_bytes": row.set_bytes,
        "generator_bytes": row.generator_bytes,
        "run_ids": list(row.run_ids),
        "seeds": list(row.seeds),
        "trainings": row.trainings,
        "steps": list(row.steps),
        "scores": _scores(row.scores),
        "unseen": None if row.unseen is None else {"mean": row.unseen.mean, "std": row.unseen.std},
    }


def _scores(scores: Mapping[str, Score]) -> list[dict[str, Any]]:
    return [
        {"network": network, "seen": score.seen, "mean": score.mean, "std": score.std}
        for network, score in scores.items()
    ]
