"""The comparison as CSV: a line per pair of rows and network; accuracies in percent."""

from collections.abc import Iterable

from glad_ray.report.compare.cells import ComparedLine
from glad_ray.report.export import as_csv, in_percent

_COLUMNS = (
    "dataset", "resolution", "ipc", "selection", "algorithm", "space", "variant", "differing_settings", "labels",
    "augmentation", "epochs", "a_evaluation_id", "b_evaluation_id", "network", "a_percent", "a_std_percent",
    "b_percent", "b_std_percent", "difference_points", "interval_low_points", "interval_high_points", "paired_seeds",
    "a_trainings", "b_trainings",
)  # fmt: skip


def differences_csv(made: Iterable[ComparedLine]) -> str:
    """Every number of the comparison; `paired_seeds` is empty where no seed is in both."""
    return as_csv(
        _COLUMNS,
        (
            (
                *line.pair.a.place,
                line.pair.a.selection,
                line.pair.a.algorithm,
                line.pair.a.space,
                line.pair.a.variant,
                "; ".join(f"{each.name} {each.a} -> {each.b}" for each in line.pair.differing),
                *(line.pair.a.budget[name] for name in ("labels", "augmentation", "evaluation epochs")),
                line.pair.a.evaluation_id,
                line.pair.b.evaluation_id,
                cell.network or "mean of unseen",
                in_percent(cell.a.mean),
                in_percent(cell.a.std),
                in_percent(cell.b.mean),
                in_percent(cell.b.std),
                in_percent(cell.difference.mean),
                in_percent(cell.difference.low),
                in_percent(cell.difference.high),
                " ".join(map(str, cell.paired)),
                *cell.trainings,
            )
            for line in made
            for cell in line.cells
        ),
    )
