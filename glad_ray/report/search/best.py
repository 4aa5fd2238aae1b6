"""Which trials are best, and what the winner scores on test images with fresh seeds."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glad_ray.report.tables.intervals import Interval, interval
from glad_ray.results import SearchTrial
from glad_ray.spec.searches.search import Search


def ranked(trials: Iterable[SearchTrial]) -> list[SearchTrial]:
    """All that were evaluated, the best first: by evaluations in full, then those that came furthest by their last
    rung.
    """
    return sorted((trial for trial in trials if trial.rung_accuracies), key=_standing, reverse=True)


def _standing(trial: SearchTrial) -> tuple[bool, float, float, int]:
    if trial.full_accuracy is not None:
        return True, trial.full_accuracy, 0.0, -trial.number
    return False, len(trial.rung_accuracies), trial.rung_accuracies[-1], -trial.number


@dataclass(frozen=True, kw_only=True)
class InFull:
    """A line of an evaluation in full on held-out training images."""

    network: str | None
    """None: the mean of all"""
    mean: float
    deviation: float
    """over repeats; of the mean of all, over networks"""
    values: int


def in_full(trial: SearchTrial) -> list[InFull]:
    """A line per network and one for their mean; none of a trial that was not evaluated in full."""
    lines = [_in_full(network, repeats) for network, repeats in trial.full.items()]
    return [*lines, _in_full(None, [line.mean for line in lines])] if lines else []


def _in_full(network: str | None, values: Sequence[float]) -> InFull:
    return InFull(
        network=network, mean=statistics.fmean(values), deviation=statistics.pstdev(values), values=len(values)
    )


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Accuracies on test images of the winner, distilled anew with fresh seeds."""

    seeds: int
    """so many have all their rows"""
    networks: Mapping[str, Interval]
    """over seeds, of the mean over repeats, by network"""
    unseen: Interval
    """over seeds, of the mean over the networks that did not distil"""


def on_test_images(search: Search, trial: SearchTrial, rows: Sequence[Mapping[str, Any]]) -> Tested | None:
    """What rows of results tell of the winner at its last step; None if they tell nothing yet."""
    winners = search.winner_runs(trial.run)
    wanted = {each for run in winners for each in (run.content_id, run.former_id)}
    accuracies: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if (
            row["run_id"] in wanted
            and row["evaluation_id"] == search.evaluation.content_id
            and row["selection"] == "last"
        ):
            accuracies[row["run_id"]][row["network"]].append(row["accuracy"])
    if not accuracies:
        return None
    means = [{key: statistics.fmean(each) for key, each in of_run.items()} for of_run in accuracies.values()]
    unseen = [network.key for network in search.evaluation.unseen_by(trial.run)]
    return Tested(
        seeds=len(means),
        networks={key: interval([of_run[key] for of_run in means]) for key in means[0]},
        unseen=interval([statistics.fmean(of_run[key] for key in unseen) for of_run in means]),
    )
