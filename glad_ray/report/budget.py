"""At which budget results were made: said before any number, and beside the paper's where it is smaller."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report import wording
from glad_ray.spec import RandomReal, Run
from glad_ray.spec.algorithm import ALGORITHM_NAMES
from glad_ray.spec.datasets import DATASETS

PAPER_EPOCHS = 1000
PAPER_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the runs under one evaluation were given."""

    evaluation_id: str
    distillations: tuple[tuple[str, str], ...]
    """algorithm and its iterations"""
    networks: tuple[str, ...]
    epochs: int
    repeats: int
    test_images: str
    learning_rates: str
    smaller: tuple[str, ...]
    """where the evaluation falls short of the paper's, a phrase each; empty: nowhere"""


def budgets(rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> list[Budget]:
    """The budget of every evaluation in the results."""
    of_evaluation: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_evaluation[row["evaluation_id"]].append(row)
    return [_budget(evaluation_id, of, runs) for evaluation_id, of in of_evaluation.items()]


def _budget(evaluation_id: str, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> Budget:
    rates = {row["network"]: row["evaluation_learning_rate"] for row in rows}
    epochs = rows[0]["evaluation_epochs"]
    repeats = 1 + max(row["repeat"] for row in rows)
    return Budget(
        evaluation_id=evaluation_id,
        distillations=_distillations(rows, runs),
        networks=tuple(rates),
        epochs=epochs,
        repeats=repeats,
        test_images=_test_images(rows),
        learning_rates=_learning_rates(rates),
        smaller=_smaller(epochs, repeats, rows),
    )


def _distillations(rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> tuple[tuple[str, str], ...]:
    said: dict[str, dict[str, None]] = defaultdict(dict)
    steps: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for run_id, row in {row["run_id"]: row for row in rows if row["selection"] == "last"}.items():
        run = runs.get(run_id)
        if run is None:
            said[row["algorithm"]][wording.counted(row["step"], "step")] = None
        elif not isinstance(run.algorithm, RandomReal):
            steps[run.algorithm.name, run.algorithm.iterations][run.images_per_class] = run.steps
    for (algorithm, iterations), by_ipc in steps.items():
        said[algorithm][wording.iterations(iterations, by_ipc)] = None
    return tuple((name, " or ".join(said[name])) for name in ALGORITHM_NAMES if name in said and name != "random")


def _test_images(rows: Sequence[Mapping[str, Any]]) -> str:
    said: dict[str, None] = {}
    for row in rows:
        every = DATASETS[row["dataset"]].test_images if row["dataset"] in DATASETS else None
        if row["test_images"] is not None:
            said[wording.count(row["test_images"]) + (f" of {wording.count(every)}" if every else "")] = None
        else:
            said["all" + (f" {wording.count(every)}" if every else "")] = None
    return " or ".join(said)


def _learning_rates(rates: Mapping[str, float]) -> str:
    if len(set(rates.values())) == 1:
        return f"{next(iter(rates.values())):g}, every network"
    return ", ".join(f"{wording.network_name(key)} {rate:g}" for key, rate in rates.items())


def _smaller(epochs: int, repeats: int, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    said = []
    if epochs < PAPER_EPOCHS:
        said.append(f"{wording.counted(epochs, 'evaluation epoch')} (the paper: {wording.count(PAPER_EPOCHS)})")
    if repeats < PAPER_REPEATS:
        said.append(f"{wording.counted(repeats, 'repeat')} (the paper: {PAPER_REPEATS})")
    if any("width" in wording.network_detail(row["network"]) for row in rows):
        said.append("narrower networks")
    if any(row["test_images"] is not None for row in rows):
        said.append("a part of the test images")
    return tuple(said)
