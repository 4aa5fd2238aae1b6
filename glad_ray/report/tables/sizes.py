"""Accuracy against bytes: distilled sets among baselines of real images of any number, under one evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

from glad_ray.report.tables.accuracy import Row, Section
from glad_ray.spec.algorithms import algorithm_order

COUNTED = (
    "Of a distilled set its latents count, or its pixels, as float32 numbers of 4 bytes; of real images their pixels, "
    "8 bits each. Soft labels count as float32, a teacher’s only where they are trained on. The generator’s parameters "
    "count once a set, as float32, though a seed might make a random one again. Hard labels and the learned step size "
    "do not count."
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """All rows of a dataset, resolution and evaluation at the last step, the smallest first."""

    dataset: str
    resolution: int
    evaluation_id: str
    rows: tuple[Row, ...]
    of_unseen: bool
    """whether accuracies are means over unseen networks; else the backbone's"""


def sizes(sections: Sequence[Section]) -> tuple[Sizes, ...]:
    """What there is to compare by bytes; nothing where all sets take as many."""
    groups: dict[tuple[str, int, str], dict[tuple[str, tuple[str, ...]], Row]] = {}
    for section in sections:
        group = groups.setdefault((section.dataset, section.resolution, section.evaluation_id), {})
        # The whole dataset stands in several sections and is one row here.
        group.update({(row.conditions.labels, row.run_ids): row for row in section.rows if row.headline is not None})
    return tuple(
        Sizes(
            dataset=dataset,
            resolution=resolution,
            evaluation_id=evaluation_id,
            rows=tuple(sorted(group.values(), key=_order)),
            of_unseen=any(row.unseen is not None for row in group.values()),
        )
        for (dataset, resolution, evaluation_id), group in groups.items()
        if len({row.total_bytes for row in group.values()}) > 1
    )


def _order(row: Row) -> tuple[int, tuple[int, str]]:
    return row.total_bytes, algorithm_order(row.algorithm)
