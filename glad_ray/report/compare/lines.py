"""The lines of one storage that another's may be set against: rows that differ in seed, network and repeat alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report.report_data import ReportData
from glad_ray.report.tables.identity import Place, settings
from glad_ray.spec import Evaluation, Run

_OF_ROWS = {
    "labels": "labels",
    "augmentation": "augmentation",
    "whitening": "whitening",
    "evaluation_epochs": "evaluation epochs",
    "evaluation_schedule": "schedule",
    "test_images": "test images",
}
"""columns that are equal in all rows of a line, and what they are called"""
_ELSEWHERE = frozenset(
    {
        "networks", "learning_rates", "repeats", "metrics", "precision", "looks", "labels", "augmentation", "epochs",
        "plain_epochs", "whole_dataset_epochs", "schedule", "test_images", "teacher",
    }
)  # fmt: skip
"""fields of an evaluation that say nothing of a single training, or that the rows tell themselves"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Runs of one storage that differ in nothing but their seed, under one evaluation and one selection."""

    place: Place
    algorithm: str
    space: str
    selection: str
    evaluation_id: str
    evaluation: str
    """what distinguishes its evaluation from the storage's others; empty if there is one"""
    variant: str
    """what sets it apart from other lines of its storage with the same algorithm and space"""
    budget: Mapping[str, str]
    """what two lines have to have in common to be compared: labels, steps, how networks were trained"""
    settings: Mapping[str, str]
    """of the runs, without the seed; empty if their records are not known"""
    rows: tuple[Mapping[str, Any], ...]

    @property
    def where(self) -> tuple[Place, str, str, str]:
        """The cell of a table that it stands in."""
        return self.place, self.algorithm, self.space, self.selection

    @property
    def seeds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted({row["seed"] for row in self.rows}))

    @property
    def rates(self) -> dict[str, float]:
        """Learning rates by network."""
        return {row["network"]: row["evaluation_learning_rate"] for row in self.rows}

    def of_seeds(self, seeds: Sequence[int], networks: Sequence[str]) -> list[Mapping[str, Any]]:
        """Its rows of some seeds and networks."""
        return [row for row in self.rows if row["seed"] in seeds and row["network"] in networks]


def lines(data: ReportData) -> list[Line]:
    """All lines of a storage, in the order of its rows."""
    evaluations = {evaluation.content_id: evaluation for evaluation in (data.sweep.evaluations if data.sweep else ())}
    known: dict[str, Mapping[str, str]] = {run_id: settings(run) for run_id, run in data.runs.items()}
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in data.rows:
        where = row["dataset"], row["resolution"], row["ipc"], row["algorithm"], row["space"], row["selection"]
        # Runs without a record are told apart by their ids.
        of_run = tuple(sorted(known[row["run_id"]].items())) if row["run_id"] in known else row["run_id"]
        groups[(*where, row["evaluation_id"], of_run, *(row[column] for column in _OF_ROWS))].append(row)
    return [_line(rows, data, known, evaluations) for rows in groups.values()]


def _line(
    rows: list[Mapping[str, Any]],
    data: ReportData,
    known: Mapping[str, Mapping[str, str]],
    evaluations: Mapping[str, Evaluation],
) -> Line:
    first = rows[0]
    run, evaluation = data.runs.get(first["run_id"]), evaluations.get(first["evaluation_id"])
    return Line(
        place=(first["dataset"], first["resolution"], first["ipc"]),
        algorithm=first["algorithm"],
        space=first["space"],
        selection=first["selection"],
        evaluation_id=first["evaluation_id"],
        evaluation=data.evaluation_names[first["evaluation_id"]],
        variant=data.variants[first["run_id"]],
        budget=_budget(first, run, evaluation),
        settings=known.get(first["run_id"], {}),
        rows=tuple(rows),
    )


def _budget(row: Mapping[str, Any], run: Run | None, evaluation: Evaluation | None) -> dict[str, str]:
    said = {name: _said(row[column]) for column, name in _OF_ROWS.items()}
    if row["test_images"] is None:
        said["test images"] = "all"
    if run is not None:
        said["distillation steps"] = str(run.steps)
        if row["selection"] != "last":
            said["kept steps to choose from"] = str(len(run.snapshot_steps))
        if row["selection"] in ("held-out", "looks"):
            said["held-out images per class"] = str(run.held_out)
    elif row["selection"] == "last":
        said["distillation steps"] = str(row["step"])
    if run is not None and evaluation is not None:
        content = evaluation.decided_for(run).model_dump(mode="json")
        said |= {f"evaluation.{name}": _said(value) for name, value in content.items() if name not in _ELSEWHERE}
        if row["labels"] == "teacher":
            said["teacher"] = _said(content["teacher"])
        if row["selection"] == "looks":
            said["looks"] = _said(evaluation.model_dump(mode="json").get("looks"))
    return said


def _said(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
