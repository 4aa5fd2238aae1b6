"""The scores of DD-Ranking for the rows of the tables, and what a sweep lacks for those that cannot be told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from glad_ray.report.scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from glad_ray.report.tables.accuracy import Row, Section, Table
from glad_ray.spec import Evaluation

# What of an evaluation's record may differ with a field: a teacher teaches soft labels only.
_TOGETHER = {
    "labels": ("labels", "teacher", "temperature", "temperature_squared"),
    "augmentation": ("augmentation",),
}


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The scores of one row on one network; None where an ingredient is missing."""

    row: Row
    network: str | None
    """None: the mean over the unseen networks"""
    hlr: float | None
    ior: float | None
    lrs: float | None
    ars: float | None

    @property
    def empty(self) -> bool:
        """Whether nothing can be told."""
        return self.hlr is None and self.ior is None and self.ars is None


def ranked(section: Section, sections: Sequence[Section], evaluations: Mapping[str, Evaluation]) -> tuple[Ranked, ...]:
    """The scores of a section's distilled rows at the last step, for every network and the mean over unseen ones.

    `sections` are all there are: the score with hard labels, and those with and without augmentation, may come from
    another evaluation of the same runs that is otherwise the same. `evaluations` are records by id, as far as known:
    they tell what rows do not.
    """
    made = []
    for row in section.rows:
        if row.is_baseline:
            continue
        of_labels = list(_twins(section, row, "labels", sections, evaluations))
        of_augmentation = list(_twins(section, row, "augmentation", sections, evaluations))
        for network in (*row.scores, *([None] if row.unseen else [])):
            hlr = _hlr(of_labels, network)
            ior = _ior(section.last, row, network)
            made.append(
                Ranked(
                    row=row,
                    network=network,
                    hlr=hlr,
                    ior=ior,
                    lrs=None if ior is None or hlr is None else label_robust_score(ior, hlr),
                    ars=_ars(of_augmentation, network),
                )
            )
    return tuple(made)


def lacking(scored: Sequence[Ranked]) -> tuple[str, ...]:
    """What to add to the sweep for the scores that no row has, a phrase each."""
    if not scored:
        return ()
    said = []
    if all(of.ior is None for of in scored):
        said.append("baselines(runs), random real images, for IOR, LRS and ARS")
    if all(of.hlr is None for of in scored):
        hard = any(of.row.conditions.labels == "hard" for of in scored)
        with_hard = "" if hard else " and an evaluation with hard labels that is otherwise the same"
        said.append(f"WholeDataset(){with_hard}, for HLR and LRS")
    if all(of.ars is None for of in scored):
        other = 'augmentation=""' if any(of.row.conditions.augmentation for of in scored) else "augmentation (DSA)"
        said.append(f"an evaluation with {other} that is otherwise the same, for ARS")
    return tuple(said)


def _hlr(twins: Sequence[tuple[Table, Row]], network: str | None) -> float | None:
    for table, twin in twins:
        whole = table.baseline(twin, "whole") if twin.conditions.labels == "hard" else None
        real, synthetic = whole and whole.score(network), twin.score(network)
        if real and synthetic:
            return hard_label_recovery(real.mean, synthetic.mean)
    return None


def _ior(table: Table, row: Row, network: str | None) -> float | None:
    baseline = table.baseline(row, "random")
    synthetic, random = row.score(network), baseline and baseline.score(network)
    return improvement_over_random(synthetic.mean, random.mean) if synthetic and random else None


def _ars(twins: Sequence[tuple[Table, Row]], network: str | None) -> float | None:
    improvements: dict[bool, float] = {}
    for table, twin in twins:
        improvement = _ior(table, twin, network)
        if improvement is not None:
            improvements.setdefault(bool(twin.conditions.augmentation), improvement)
    if len(improvements) < 2:
        return None
    return augmentation_robust_score(improvements[True], improvements[False])


def _twins(
    section: Section, row: Row, field: str, sections: Sequence[Section], evaluations: Mapping[str, Evaluation]
) -> Iterator[tuple[Table, Row]]:
    """The row itself, then the same runs under evaluations that differ in one field alone."""
    yield section.last, row
    ours = evaluations.get(section.evaluation_id)
    for other in sections:
        theirs = evaluations.get(other.evaluation_id)
        if other.evaluation_id == section.evaluation_id:
            continue
        if ours and theirs and ours.replace(**{name: getattr(theirs, name) for name in _TOGETHER[field]}) != theirs:
            continue
        for twin in other.rows:
            if twin.run_ids == row.run_ids and twin.conditions.otherwise_same(row.conditions, field):
                yield other.last, twin
