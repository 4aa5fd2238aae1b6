"""How papers train networks on their sets, and whose way an evaluation varies.

A regime of labels, or a setting that one paper alone has, says which it is; what no paper here did is nobody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glad_ray.spec import regime_of
from glad_ray.spec.images.augmentation import is_sequential


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A paper's own way to score a set."""

    name: str
    epochs: int
    """of each training"""
    repeats: int | None = None
    """trainings of each network; None: not compared"""


GLAD = Protocol(name="GLaD", epochs=1000, repeats=5)
DC = Protocol(name="the original DC, without augmentation", epochs=300)
DATM = Protocol(name="DATM", epochs=1000)
IDC = Protocol(name="IDC", epochs=1000)
NCFM = Protocol(name="NCFM", epochs=2000, repeats=10)
RDED = Protocol(name="RDED", epochs=300)
_BY_SCHEDULE = {"halving": NCFM, "fifths": IDC}


def protocol_of(row: Mapping[str, Any]) -> Protocol | None:
    """The published protocol that the training of a row of results varies; None: no paper compared here trained so.

    A teacher at every step is RDED's way, and soft labels that were learned with the images DATM's; other soft labels
    are no paper's here. With hard labels the schedule tells NCFM's and IDC's; else plain SGD is GLaD's with DSA, and
    the original DC's without augmentation.
    """
    regime = regime_of(row["labels"])
    if regime == "teacher":
        return RDED
    if regime == "fixed-soft":
        return DATM if row["labels"] == "own" and row["algorithm"] == "datm" else None
    if row["evaluation_schedule"] in _BY_SCHEDULE:
        return _BY_SCHEDULE[row["evaluation_schedule"]]
    newer = ("evaluation_mixing", "evaluation_views")
    if any(row.get(column) for column in newer) or row.get("evaluation_optimiser") not in (None, "sgd"):
        return None
    if is_sequential(row["augmentation"]) or row["evaluation_schedule"] not in ("cosine", "step"):
        return None
    return GLAD if row["augmentation"] else DC
