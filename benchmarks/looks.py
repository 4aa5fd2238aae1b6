"""What short looks choose, and take, beside the evaluation of every kept set.

glad-ray sweep sweeps/fewer_trainings.py
python benchmarks/looks.py runs/fewer-trainings
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from scipy.stats import spearmanr

from glad_ray import Results, load
from glad_ray.errors import UserError
from glad_ray.results import read_looks, read_trainings
from glad_ray.spec import Evaluation, Run


class Chosen(NamedTuple):
    """What one way of evaluating a run came to."""

    step: int
    accuracy: float
    """in percent, mean of the networks that did not distil"""
    by_repeat: tuple[float, ...]
    """the same of each repeat by itself"""
    spread: float
    """in points, between the repeats of the same step: the largest of any network"""
    seconds: float
    """of all trainings and tests that it took"""


class Compared(NamedTuple):
    """A run, both ways."""

    run: Run
    in_full: Chosen
    looked: Chosen

    @property
    def agrees(self) -> bool:
        """Whether the difference is no larger than what repeats of one training differ by."""
        return abs(self.in_full.accuracy - self.looked.accuracy) <= max(self.in_full.spread, self.looked.spread)


def chosen(results: Results, run: Run, evaluation: Evaluation, selection: str) -> Chosen:
    """The step that a selection took of a run, and what choosing and scoring it took."""
    table = results.to_pandas()
    rows = table[
        (table.run_id == run.run_id) & (table.evaluation_id == evaluation.content_id) & (table.selection == selection)
    ]
    if rows.empty:
        raise UserError(
            f"{run.label} has no step chosen by {selection} in {results.storage}: run the sweep to its end."
        )
    unseen = rows[~rows.seen]
    of_network = unseen.groupby("network").accuracy
    seconds = sum(
        training.seconds
        for network in evaluation.networks
        for training in read_trainings(results.storage, run.run_id, evaluation.content_id, network.key)
    )
    if looking := evaluation.looking(run):
        seconds += sum(look.seconds for look in read_looks(results.storage, run, looking).values())
    spread = (of_network.max() - of_network.min()).max()
    by_repeat = tuple(100 * unseen.groupby("repeat").accuracy.mean())
    return Chosen(int(rows.step.iloc[0]), 100 * of_network.mean().mean(), by_repeat, 100 * spread, seconds)


def compare(results: Results) -> list[Compared]:
    """Every run of the sweep."""
    evaluations = results.sweep.evaluations
    in_full = next((each for each in evaluations if each.looks is None), None)
    looking = next((each for each in evaluations if each.looks is not None), None)
    if in_full is None or looking is None:
        raise UserError(f"The sweep in {results.storage} has not both evaluations: run sweeps/fewer_trainings.py.")
    return [
        Compared(run, chosen(results, run, in_full, "held-out"), chosen(results, run, looking, "looks"))
        for run in results.runs
    ]


def text(compared: Sequence[Compared]) -> str:
    """A table in Markdown, and what it comes to."""
    columns = (
        "run",
        "step: all sets",
        "looks",
        "unseen (%): all sets",
        "looks",
        "repeats differ by",
        "seconds: all sets",
    )
    head = f"| {' | '.join(columns)} | looks |"
    rows = [
        f"| {each.run.label} | {each.in_full.step} | {each.looked.step} | {each.in_full.accuracy:.1f} | "
        f"{each.looked.accuracy:.1f} | {max(each.in_full.spread, each.looked.spread):.1f} | "
        f"{each.in_full.seconds:.0f} | {each.looked.seconds:.0f} |"
        for each in compared
    ]
    repeated = ""
    if all(len(each.in_full.by_repeat) > 1 for each in compared):
        # How far a ranking can be had at all: by the first repeat of the same sets, and by the second.
        of_repeats = spearmanr(*zip(*(each.in_full.by_repeat[:2] for each in compared), strict=True))
        repeated = f"; of the first repeat of all sets and the second: {of_repeats.statistic:.2f}"
    ranks = spearmanr([each.in_full.accuracy for each in compared], [each.looked.accuracy for each in compared])
    share = sum(each.looked.seconds for each in compared) / sum(each.in_full.seconds for each in compared)
    apart = fmean(abs(each.in_full.accuracy - each.looked.accuracy) for each in compared)
    summary = (
        f"Looks took {100 * share:.0f} % of the seconds. "
        f"Rank correlation of the runs: {ranks.statistic:.2f}{repeated}. "
        f"Accuracies differ by {apart:.1f} points on average; in {sum(each.agrees for each in compared)} of "
        f"{len(compared)} runs by no more than repeats of one training do."
    )
    return "\n".join([head, "|---" * 8 + "|", *rows, "", summary])


def main() -> None:
    """Compare, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("storage", type=Path, help="of sweeps/fewer_trainings.py")
    given = parser.parse_args()
    try:
        print(text(compare(load(given.storage))))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
