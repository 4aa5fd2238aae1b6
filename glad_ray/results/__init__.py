"""What runs scored and what that took, on storage: records of each run, and one table of all."""

from glad_ray.results.ledger import Entry, completed, evaluated, read_entry, write_entry
from glad_ray.results.records import (
    Distillation,
    Failure,
    LossCurve,
    Progress,
    Training,
    clear_failure,
    package_versions,
    read_distillation,
    read_failure,
    read_failures,
    read_losses,
    read_trainings,
    write_distillation,
    write_failure,
    write_losses,
    write_trainings,
)
from glad_ray.results.selection import select
from glad_ray.results.table import SCHEMA, finished, read_results, write_results

__all__ = [
    "SCHEMA",
    "Distillation",
    "Entry",
    "Failure",
    "LossCurve",
    "Progress",
    "Training",
    "clear_failure",
    "completed",
    "evaluated",
    "finished",
    "package_versions",
    "read_distillation",
    "read_entry",
    "read_failure",
    "read_failures",
    "read_losses",
    "read_results",
    "read_trainings",
    "select",
    "write_distillation",
    "write_entry",
    "write_failure",
    "write_losses",
    "write_results",
    "write_trainings",
]
