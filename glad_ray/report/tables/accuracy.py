"""Rows of results pooled into tables: a section per dataset, images per class and evaluation, a table per selection.

A cell pools the repeats of all seeds: their mean and population deviation. The deviation of a mean over networks is the
mean of the networks' deviations, as in the paper (its Table 3 shows both). Beside them stand 95 % intervals of the
means of seeds, by Student's t, where there are two seeds or more. Two evaluations, two kinds of labels (and so two
regimes), and whitened images and others are never pooled.
"""

import itertools
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from glad_ray.report.tables.conditions import Conditions, conditions
from glad_ray.report.tables.identity import Place, ipc_order, is_baseline, space_order
from glad_ray.report.tables.intervals import Interval, interval
from glad_ray.spec import REGIMES, Regime, Selection
from glad_ray.spec.algorithms import algorithm_order

SELECTIONS: tuple[Selection, ...] = get_args(Selection)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A pooled accuracy, 0 to 1."""

    mean: float
    std: float | None
    """None of a single training"""
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: runs that differ in nothing but their seed."""

    algorithm: str
    space: str
    ipc: int | None
    generator: str
    variant: str
    """what sets it apart from other rows of its algorithm and space; empty if there are none"""
    run_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    conditions: Conditions
    set_bytes: int
    generator_bytes: int
    trainings: int
    """per network"""
    steps: tuple[int, ...]
    """the steps that were selected, ascending"""
    scores: Mapping[str, Score]
    """per network key"""
    unseen: Score | None
    """mean over the networks that did not distill"""
    intervals: Mapping[str, Interval]
    """per network key, of the means of seeds"""
    unseen_interval: Interval | None
    """of the seeds' means over the networks that did not distill"""

    @property
    def is_baseline(self) -> bool:
        """Whether it is real images."""
        return is_baseline(self.algorithm)

    @property
    def total_bytes(self) -> int:
        """All that has to be kept to have the images."""
        return self.set_bytes + self.generator_bytes

    @property
    def headline(self) -> Score | None:
        """The mean over unseen networks, or the backbone's score where no other was trained."""
        return headline(self.scores)

    def score(self, network: str | None) -> Score | None:
        """The score on a network; None: the mean over the unseen ones."""
        return self.unseen if network is None else self.scores.get(network)

    def interval(self, network: str | None) -> Interval | None:
        """The interval over seeds on a network (None: of the mean over the unseen ones); None of a single seed."""
        found = self.unseen_interval if network is None else self.intervals.get(network)
        return None if found is None or found.half is None else found


@dataclass(frozen=True, kw_only=True)
class Table:
    """The accuracies under one selection."""

    selection: Selection
    networks: tuple[str, ...]
    rows: tuple[Row, ...]

    def best(self, row: Row, network: str | None) -> bool:
        """Whether a distilled row is the best of its algorithm's several, on a network (None: on the unseen)."""

        def mean(of: Row) -> float:
            score = of.score(network)
            return -math.inf if score is None else score.mean

        rivals = [other for other in self.rows if other.algorithm == row.algorithm and not row.is_baseline]
        return len(rivals) > 1 and math.isfinite(mean(row)) and mean(row) == max(map(mean, rivals))

    @property
    def all_seen(self) -> frozenset[str]:
        """Networks that are the backbone of every row."""
        return frozenset(
            key for key in self.networks if all(row.scores[key].seen for row in self.rows if key in row.scores)
        )

    @property
    def has_latents(self) -> bool:
        """Whether anything but pixels was optimised."""
        return any(row.space != "pixel" for row in self.rows)

    @property
    def has_unseen(self) -> bool:
        """Whether any network is new to the synthetic sets."""
        return any(row.unseen is not None for row in self.rows)

    @property
    def has_intervals(self) -> bool:
        """Whether any row has several seeds."""
        return any(row.interval(network) is not None for row in self.rows for network in row.scores)

    @property
    def has_deviations(self) -> bool:
        """Whether any network was trained several times."""
        return any(score.std is not None for row in self.rows for score in row.scores.values())

    @property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows under the algorithm that distilled them; baselines, before and after those, under an empty name."""
        return [
            (name, list(rows))
            for name, rows in itertools.groupby(self.rows, key=lambda row: "" if row.is_baseline else row.algorithm)
        ]

    @property
    def labels(self) -> tuple[str, ...]:
        """The kinds of labels that the rows were trained with."""
        return tuple(dict.fromkeys(row.conditions.labels for row in self.rows))

    @property
    def has_random(self) -> bool:
        """Whether there are random real images to set other rows against."""
        return any(row.algorithm == "random" and row.unseen is not None for row in self.rows)

    def baseline(self, row: Row, algorithm: str) -> Row | None:
        """The baseline that a row may be set against: trained under the same conditions, with the same unseen networks.

        None if there is none, above all where one has hard labels and the other soft ones.
        """
        return next(
            (
                other
                for other in self.rows
                if other.algorithm == algorithm
                and other.conditions.comparable(row.conditions)
                and _seen(other) == _seen(row)
            ),
            None,
        )

    def over_random(self, row: Row) -> float | None:
        """Its mean over the unseen networks minus that of random real images."""
        random = None if row.algorithm == "random" else self.baseline(row, "random")
        if row.unseen is None or random is None or random.unseen is None:
            return None
        return row.unseen.mean - random.unseen.mean

    def same_scores(self, other: "Table") -> bool:
        """Whether another selection took the same trainings."""
        return [(row.steps, row.scores) for row in self.rows] == [(row.steps, row.scores) for row in other.rows]


@dataclass(frozen=True, kw_only=True)
class Section:
    """All tables of a dataset at a resolution, a number of images per class and an evaluation.

    The whole dataset stands in every section of its dataset, resolution and evaluation.
    """

    dataset: str
    resolution: int
    ipc: int | None
    """None where there is nothing but the whole dataset"""
    evaluation_id: str
    tables: tuple[Table, ...]
    """by selection, `last` first"""

    @property
    def place(self) -> Place:
        """Dataset, resolution and images per class."""
        return self.dataset, self.resolution, self.ipc

    @property
    def regime(self) -> Regime:
        """How networks were taught on its sets."""
        return max((row.conditions.regime for row in self.rows), key=REGIMES.index)

    @property
    def last(self) -> Table:
        """The table of the last steps."""
        return self.tables[0]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the last steps."""
        return self.last.rows


def sections(rows: Sequence[Mapping[str, Any]], variant_of: Mapping[str, str]) -> tuple[Section, ...]:
    """The tables of all results; `variant_of` tells by run id what sets rows of a space apart.

    Evaluations stand by regime, and within one in the order in which they first appear in the rows.
    """
    place = {evaluation_id: n for n, (evaluation_id,) in enumerate(_grouped(rows, "evaluation_id"))}
    made = []
    for (dataset, resolution, evaluation_id), together in _grouped(
        rows, "dataset", "resolution", "evaluation_id"
    ).items():
        by_ipc = _grouped(together, "ipc")
        whole = by_ipc.pop((None,), [])
        for (ipc,), of_section in (by_ipc or {(None,): []}).items():
            by_selection = _grouped([*of_section, *whole], "selection")
            tables = [_table(name, by_selection[(name,)], variant_of) for name in SELECTIONS if (name,) in by_selection]
            made.append(
                Section(
                    dataset=dataset, resolution=resolution, ipc=ipc, evaluation_id=evaluation_id, tables=tuple(tables)
                )
            )
    return tuple(
        sorted(
            made,
            key=lambda section: (
                section.dataset, section.resolution, ipc_order(section.ipc), REGIMES.index(section.regime),
                place[section.evaluation_id],
            ),
        )
    )  # fmt: skip


def _grouped(rows: Iterable[Mapping[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def _table(selection: Selection, rows: Sequence[Mapping[str, Any]], variant_of: Mapping[str, str]) -> Table:
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        trained = row["labels"], row["augmentation"], row["whitening"] or "none"
        groups[variant_of[row["run_id"]], row["algorithm"], row["space"], *trained].append(row)
    made = [_row(variant, of_row) for (variant, *_), of_row in groups.items()]
    networks = tuple(dict.fromkeys(row["network"] for row in sorted(rows, key=lambda row: not row["seen"])))
    return Table(selection=selection, networks=networks, rows=tuple(sorted(made, key=_order)))


def _row(variant: str, rows: Sequence[Mapping[str, Any]]) -> Row:
    scores, by_seed = scores_of(rows), by_network_and_seed(rows)
    return Row(
        algorithm=rows[0]["algorithm"],
        space=rows[0]["space"],
        ipc=rows[0]["ipc"],
        generator=rows[0]["generator"],
        variant=variant,
        run_ids=tuple(sorted({row["run_id"] for row in rows})),
        seeds=tuple(sorted({row["seed"] for row in rows})),
        conditions=conditions(rows),
        set_bytes=rows[0]["set_bytes"],
        generator_bytes=rows[0]["generator_bytes"],
        trainings=len(rows) // len(scores),
        steps=tuple(sorted({row["step"] for row in rows})),
        scores=scores,
        unseen=mean_of_unseen(scores),
        intervals={network: interval(list(of_seed.values())) for network, of_seed in by_seed.items()},
        unseen_interval=_interval_of_unseen(scores, by_seed),
    )


def _interval_of_unseen(scores: Mapping[str, Score], by_seed: Mapping[str, Mapping[int, float]]) -> Interval | None:
    unseen = [by_seed[network] for network, score in scores.items() if not score.seen]
    means = mean_by_seed(unseen)
    return interval(list(means.values())) if means else None


def by_network_and_seed(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """The mean accuracy over the repeats of each seed, by network; seeds ascend."""
    of_network: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        of_network[row["network"]][row["seed"]].append(row["accuracy"])
    return {
        network: {seed: statistics.fmean(of_seed[seed]) for seed in sorted(of_seed)}
        for network, of_seed in of_network.items()
    }


def mean_by_seed(of_networks: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The mean over several networks of each seed that all of them have."""
    seeds = [seed for seed in (of_networks[0] if of_networks else ()) if all(seed in each for each in of_networks)]
    return {seed: statistics.fmean(each[seed] for each in of_networks) for seed in seeds}


def _seen(row: Row) -> frozenset[str]:
    return frozenset(key for key, score in row.scores.items() if score.seen)


def _order(row: Row) -> tuple[Any, ...]:
    return algorithm_order(row.algorithm), space_order(row.space), natural_order(row.variant), row.run_ids


def natural_order(text: str) -> list[tuple[float, str]]:
    """A key that sorts texts with the numbers in them as numbers: "f 10" after "f 9"."""
    parts = [part for part in re.split(r"(\d+(?:\.\d+)?)", text) if part]
    return [(float(part), "") if part[0].isdigit() else (math.inf, part) for part in parts]


def scores_of(rows: Sequence[Mapping[str, Any]], column: str = "accuracy") -> dict[str, Score]:
    """The values of a column pooled for each network."""
    scores = {}
    for (network,), of_network in _grouped(rows, "network").items():
        values = [row[column] for row in of_network]
        # Those of users may be no numbers, or infinite.
        finite = all(map(math.isfinite, values))
        scores[network] = Score(
            mean=statistics.fmean(values) if finite else sum(values) / len(values),
            std=statistics.pstdev(values) if finite and len(values) > 1 else None,
            seen=all(row["seen"] for row in of_network),
        )
    return scores


def headline(scores: Mapping[str, Score]) -> Score | None:
    """The mean over unseen networks, or the score of the backbone where no other was trained."""
    return mean_of_unseen(scores) or next(iter(scores.values()), None)


def mean_of_unseen(scores: Mapping[str, Score]) -> Score | None:
    """The mean over the networks that did not distil, with the mean of their deviations; None if there are none."""
    unseen = [score for score in scores.values() if not score.seen]
    if not unseen:
        return None
    deviations = [score.std for score in unseen if score.std is not None]
    return Score(
        mean=statistics.fmean(score.mean for score in unseen),
        std=statistics.fmean(deviations) if len(deviations) == len(unseen) else None,
    )
