"""Where GLaD's paper and its released code disagree, and what is done here: one table. H-PD's are with it, for runs in
a space of several layers.

A run names its profile. `paper` is what the records' defaults say: the paper and its supplement, and where they are
silent the original algorithms. `reference-code` sets the fields that the run does not to what the released code does
when run as released. Differences that no field carries are decided for both profiles, and so are faults of either.
Of FTD and DATM it is their own released code; what their papers say was not compared.
"""

from typing import TYPE_CHECKING, Any, Literal

from glad_ray.spec.profiles.all_runs import ALL_RUNS
from glad_ray.spec.profiles.difference import Difference
from glad_ray.spec.profiles.idc import IDC
from glad_ray.spec.profiles.matching import MATCHING
from glad_ray.spec.profiles.ncfm import NCFM
from glad_ray.spec.profiles.rded import RDED
from glad_ray.spec.profiles.several_layers import SEVERAL_LAYERS
from glad_ray.spec.profiles.trajectories import TRAJECTORIES
from glad_ray.spec.record import R, Record, imply

if TYPE_CHECKING:
    from glad_ray.spec.run import Run

Profile = Literal["paper", "reference-code"]

DIFFERENCES: tuple[Difference, ...] = (
    *MATCHING, *TRAJECTORIES, *IDC, *NCFM, *RDED, *SEVERAL_LAYERS, *ALL_RUNS,
)  # fmt: skip
"""in the order in which `glad-ray plan --explain` shows them"""


def concerns(difference: Difference, run: "Run") -> bool:
    """Whether a difference is one of this run's algorithm and space."""
    return run.algorithm.name in difference.algorithms and difference.applies(run)


def apply_profile(run: "Run") -> None:
    """Set, in a run being made, the fields that its profile means and the run leaves open; and nothing that another
    profile may have left there.
    """
    algorithm = _as_set(run.algorithm)
    implied = algorithm.implied_by(run.dataset, run.images_per_class)
    open_ = {name: value for name, value in implied.items() if name not in algorithm.model_fields_set}
    _set(run, "algorithm", imply(algorithm, **open_) if open_ else algorithm)
    _set(run, "schedule", _as_set(run.schedule))
    if run.profile == "paper":
        return
    for difference in DIFFERENCES:
        if difference.code_value is not None and concerns(difference, run):
            head, _, rest = difference.field.partition(".")
            if rest:
                _set(run, head, _imply_at(getattr(run, head), rest, difference.code_value(run)))
            elif head not in run.model_fields_set:
                _set(run, head, difference.code_value(run))


def _set(run: "Run", field: str, value: Any) -> None:
    # Past the record's freezing, and without counting as set by the user.
    object.__setattr__(run, field, value)


def _as_set(record: R) -> R:
    fields = {name: getattr(record, name) for name in record.model_fields_set}
    set_fields = {name: _as_set(value) if isinstance(value, Record) else value for name, value in fields.items()}
    return type(record)(**set_fields)


def _imply_at(record: Record, path: str, value: Any) -> Record:
    head, _, rest = path.partition(".")
    if rest:
        return imply(record, **{head: _imply_at(getattr(record, head), rest, value)})
    return record if head in record.model_fields_set else imply(record, **{head: value})
