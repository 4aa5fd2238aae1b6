"""At which budget results were made: said before any number, and beside that of the published protocol where it is
smaller.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report import wording
from glad_ray.report.published.protocols import Protocol, protocol_of
from glad_ray.report.tables.identity import is_baseline, known_datasets
from glad_ray.spec import Run
from glad_ray.spec.algorithms import Matching, algorithm_order


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What trainings under one evaluation were given."""

    evaluation_id: str
    protocols: str
    """the published ones that it varies, or that it varies none"""
    labels: str
    augmentation: str
    images: str
    """how they were seen anew and mixed; empty: not at all"""
    epochs: str
    optimiser: str
    schedule: str
    looked: bool
    """whether short looks chose which of a run's sets are evaluated"""
    repeats: int
    test_images: str
    learning_rates: str
    smaller: tuple[str, ...]
    """where the evaluation falls short of these protocols, a phrase each; empty: nowhere"""


def budgets(rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> list[Budget]:
    """The budget of every evaluation in the results."""
    of_evaluation: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_evaluation[row["evaluation_id"]].append(row)
    return [_budget(evaluation_id, of, runs) for evaluation_id, of in of_evaluation.items()]


def _budget(evaluation_id: str, rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> Budget:
    rates = {row["network"]: row["evaluation_learning_rate"] for row in rows}
    repeats = 1 + max(row["repeat"] for row in rows)
    of_sets = [row for row in rows if row["ipc"] is not None]
    return Budget(
        evaluation_id=evaluation_id,
        protocols=_protocols(of_sets),
        labels=_either(wording.LABELS[name] for name in wording.LABELS if any(r["labels"] == name for r in of_sets)),
        augmentation=_either(wording.augmentation(row["augmentation"]) for row in rows),
        images=", ".join(filter(None, (_said(rows, "evaluation_views"), _said(rows, "evaluation_mixing")))),
        epochs=_epochs(rows),
        optimiser=_either(wording.OPTIMISERS[row.get("evaluation_optimiser") or "sgd"] for row in rows),
        schedule=_either(row["evaluation_schedule"] for row in rows),
        looked=any(row["selection"] == "looks" for row in rows),
        repeats=repeats,
        test_images=_test_images(rows, runs),
        learning_rates=_learning_rates(rates),
        smaller=_smaller(repeats, rows),
    )


def _said(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    return _either(row[column] for row in rows if row.get(column))


def _either(phrases: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(phrases))


def _epochs(rows: Sequence[Mapping[str, Any]]) -> str:
    """`1,000 epochs (300 without augmentation, 30 on the whole dataset)`."""
    said: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        kind = " on the whole dataset" if row["ipc"] is None else "" if row["augmentation"] else " without augmentation"
        if row["evaluation_epochs"] not in said[kind]:
            said[kind].append(row["evaluation_epochs"])
    phrases = {kind: _either(map(wording.count, sorted(epochs))) for kind, epochs in said.items()}
    first = next((kind for kind in ("", " without augmentation") if kind in phrases), next(iter(phrases)))
    start = f"{phrases[first]} epoch{'' if said[first] == [1] else 's'}{first}"
    others = [f"{text}{kind}" for kind, text in sorted(phrases.items(), reverse=True) if kind != first]
    return start + (f" ({', '.join(others)})" if others else "")


def distillations(rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> tuple[tuple[str, str], ...]:
    """Algorithms that distil, each with its iterations: `60 iterations (600 steps at ipc 10)`."""
    said: dict[str, dict[str, None]] = defaultdict(dict)
    steps: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for run_id, row in {row["run_id"]: row for row in rows if row["selection"] == "last"}.items():
        run = runs.get(run_id)
        if run is None:
            said[row["algorithm"]][wording.counted(row["step"], "step")] = None
        elif isinstance(run.algorithm, Matching):
            steps[run.algorithm.name, run.algorithm.iterations][run.images_per_class] = run.steps
    for (algorithm, iterations), by_ipc in steps.items():
        said[algorithm][wording.iterations(iterations, by_ipc)] = None
    return tuple((name, " or ".join(said[name])) for name in sorted(said, key=algorithm_order) if not is_baseline(name))


def real_images(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Baselines whose name does not tell how their images are chosen, each with how."""
    names = sorted({row["algorithm"] for row in rows if is_baseline(row["algorithm"])}, key=algorithm_order)
    parts = [wording.algorithm_title(name).partition(", ") for name in names]
    return tuple((name, what) for name, _, what in parts if what)


def profiles(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Whose settings the runs that distil took where they set none."""
    return tuple(sorted({row["profile"] for row in rows if not is_baseline(row["algorithm"])}))


def _test_images(rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Run]) -> str:
    datasets = known_datasets(runs)
    said: dict[str, None] = {}
    for row in rows:
        every = datasets[row["dataset"]].test_images if row["dataset"] in datasets else None
        if row["test_images"] is not None:
            said[wording.count(row["test_images"]) + (f" of {wording.count(every)}" if every else "")] = None
        else:
            said["all" + (f" {wording.count(every)}" if every else "")] = None
    return " or ".join(said)


def _learning_rates(rates: Mapping[str, float]) -> str:
    if len(set(rates.values())) == 1:
        return f"{next(iter(rates.values())):g}, every network"
    return ", ".join(f"{wording.network_name(key)} {rate:g}" for key, rate in rates.items())


def _protocols(rows: Sequence[Mapping[str, Any]]) -> str:
    found = dict.fromkeys(protocol_of(row) for row in rows)
    names = [protocol.name for protocol in found if protocol]
    if not names:
        return "no published protocol compared here"
    said = f"the protocol of {wording.listed(names)}"
    return f"{said} for its sets, of no published one for the others" if None in found else said


def _smaller(repeats: int, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    said = []
    epochs: dict[Protocol, set[int]] = defaultdict(set)
    for row in rows:
        if row["ipc"] is not None and (protocol := protocol_of(row)):
            epochs[protocol].add(row["evaluation_epochs"])
    for protocol, ours in epochs.items():
        said += [
            f"{wording.counted(number, 'evaluation epoch')} ({protocol.name}: {wording.count(protocol.epochs)})"
            for number in sorted(ours)
            if number < protocol.epochs
        ]
    said += [
        f"{wording.counted(repeats, 'repeat')} ({protocol.name}: {protocol.repeats})"
        for protocol in epochs
        if protocol.repeats and repeats < protocol.repeats
    ]
    if any(wording.network_detail(row["network"]).startswith("width ") for row in rows):
        said.append("narrower networks")
    if any(row["test_images"] is not None for row in rows):
        said.append("a part of the test images")
    return tuple(said)
