"""The numbers of two lines on one network, and the difference between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from glad_ray.report.compare.lines import Line
from glad_ray.report.compare.matching import Pair
from glad_ray.report.tables.accuracy import Score, by_network_and_seed, mean_by_seed, mean_of_unseen, scores_of
from glad_ray.report.tables.intervals import Interval, difference, interval


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Accuracies of A and B on a network, 0 to 1, and B minus A."""

    network: str | None
    """its key; None: the mean over the networks that did not distil"""
    a: Score
    """mean and population deviation over the trainings that the difference is of"""
    b: Score
    difference: Interval
    """B minus A; half the width of the 95 % interval is None where one seed is all there is"""
    paired: tuple[int, ...]
    """the seeds that both have, over which it is paired; empty: none is in both, and all of each were taken"""
    left_out: tuple[tuple[int, ...], tuple[int, ...]]
    """seeds of A and of B that the other has not, and that were left out"""
    trainings: tuple[int, int]
    """of A and of B"""


@dataclass(frozen=True, kw_only=True)
class ComparedLine:
    """A pair of lines with their numbers."""

    pair: Pair
    cells: tuple[Cell, ...]
    """the mean over unseen networks first, if there is one, then each network that both have"""
    without: tuple[str, ...]
    """sentences on the networks and means that are not compared"""


def compared(pair: Pair) -> ComparedLine:
    """The numbers of two lines on every network that they share at the same learning rate.

    There is a mean over unseen networks only where both have the same ones at the same rates.
    """
    a, b = pair.a, pair.b
    shared = [network for network in a.rates if network in b.rates]
    same = [network for network in shared if a.rates[network] == b.rates[network]]
    without = [
        f"{network} was trained at a rate of {a.rates[network]:g} in A and {b.rates[network]:g} in B"
        for network in shared
        if network not in same
    ]
    unseen = _unseen(a)
    cells = [_cell(pair, [network], network) for network in same]
    if unseen and unseen == _unseen(b) and all(network in same for network in unseen):
        cells.insert(0, _cell(pair, unseen, None))
    elif unseen or _unseen(b):
        without.append("the unseen networks or their rates are not the same, so that their means are not compared")
    return ComparedLine(pair=pair, cells=tuple(cells), without=tuple(without))


def _unseen(line: Line) -> list[str]:
    return sorted({row["network"] for row in line.rows} - {row["network"] for row in line.rows if row["seen"]})


def _cell(pair: Pair, networks: Sequence[str], network: str | None) -> Cell:
    of_a, of_b = (_by_seed(line, networks) for line in (pair.a, pair.b))
    common = tuple(sorted(of_a.keys() & of_b.keys()))
    seeds_a, seeds_b = (common, common) if common else (tuple(of_a), tuple(of_b))
    if common:
        found = interval([of_b[seed] - of_a[seed] for seed in common])
    else:
        found = difference(list(of_a.values()), list(of_b.values()))
    rows_a, rows_b = pair.a.of_seeds(seeds_a, networks), pair.b.of_seeds(seeds_b, networks)
    left_out = tuple(sorted(of_a.keys() - set(seeds_a))), tuple(sorted(of_b.keys() - set(seeds_b)))
    return Cell(
        network=network,
        a=_score(pair.a, seeds_a, networks, network),
        b=_score(pair.b, seeds_b, networks, network),
        difference=found,
        paired=common,
        left_out=left_out,
        trainings=(len(rows_a), len(rows_b)),
    )


def _by_seed(line: Line, networks: Sequence[str]) -> dict[int, float]:
    of_networks = by_network_and_seed(line.of_seeds(line.seeds, networks))
    return mean_by_seed([of_networks[network] for network in networks])


def _score(line: Line, seeds: Sequence[int], networks: Sequence[str], network: str | None) -> Score:
    scores = scores_of(line.of_seeds(seeds, networks))
    found = mean_of_unseen(scores) if network is None else scores[network]
    assert found is not None, "there are networks"
    return found
