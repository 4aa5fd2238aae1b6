"""The evaluation of one run, by network and repeat."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report.tables.accuracy import SELECTIONS, Score, scores_of


@dataclass(frozen=True, kw_only=True)
class NetworkScores:
    """All trainings of one network on the set of one step."""

    network: str
    """its key"""
    seen: bool
    """whether it is the backbone"""
    step: int
    selections: tuple[str, ...]
    """which ways of choosing a step took this one"""
    accuracies: tuple[float | None, ...]
    """by repeat, 0 to 1; None of one that is missing"""
    score: Score
    """mean and population deviation over the repeats"""
    held_out: float | None
    """mean accuracy on held-out training images, 0 to 1"""
    learning_rate: float
    seconds: float
    """of a training, on average"""
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class EvaluatedRun:
    """What one evaluation found of a run."""

    evaluation_id: str
    labels: str
    epochs: int
    repeats: int
    lines: tuple[NetworkScores, ...]
    """by step, and the networks in the order of the evaluation"""

    @property
    def has_held_out(self) -> bool:
        """Whether training images were kept from distillation."""
        return any(line.held_out is not None for line in self.lines)

    @property
    def seconds(self) -> float:
        """Of all the trainings of these lines."""
        return sum(
            line.seconds * sum(accuracy is not None for accuracy in line.accuracies) for line in self.lines
        )  # fmt: skip


def evaluated(rows: Sequence[Mapping[str, Any]]) -> tuple[EvaluatedRun, ...]:
    """The evaluations in the rows of one run, in their order; a training that several selections took counts once."""
    of_evaluation: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_evaluation[row["evaluation_id"]].append(row)
    return tuple(_evaluated(evaluation_id, of_one) for evaluation_id, of_one in of_evaluation.items())


def _evaluated(evaluation_id: str, rows: Sequence[Mapping[str, Any]]) -> EvaluatedRun:
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["step"], row["network"]].append(row)
    repeats = 1 + max(row["repeat"] for row in rows)
    steps = sorted({step for step, _ in groups})
    networks = list(dict.fromkeys(row["network"] for row in rows))
    return EvaluatedRun(
        evaluation_id=evaluation_id,
        labels=rows[0]["labels"],
        epochs=rows[0]["evaluation_epochs"],
        repeats=repeats,
        lines=tuple(
            _line(groups[step, network], repeats)
            for step in steps
            for network in networks
            if (step, network) in groups
        ),
    )  # fmt: skip


def _line(rows: Sequence[Mapping[str, Any]], repeats: int) -> NetworkScores:
    by_repeat = {row["repeat"]: row for row in rows}
    once = [by_repeat[repeat] for repeat in sorted(by_repeat)]
    held_out = [row["held_out_accuracy"] for row in once if row["held_out_accuracy"] is not None]
    first = once[0]
    chosen = {row["selection"] for row in rows}
    return NetworkScores(
        network=first["network"],
        seen=first["seen"],
        step=first["step"],
        selections=tuple(name for name in SELECTIONS if name in chosen),
        accuracies=tuple(
            by_repeat[repeat]["accuracy"] if repeat in by_repeat else None for repeat in range(repeats)
        ),
        score=scores_of(once)[first["network"]],
        held_out=sum(held_out) / len(held_out) if held_out else None,
        learning_rate=first["evaluation_learning_rate"],
        seconds=sum(row["evaluate_seconds"] for row in once) / len(once),
        peak_memory_bytes=max(row["evaluate_peak_memory_bytes"] for row in once),
    )  # fmt: skip
