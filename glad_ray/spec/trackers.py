"""Experiment trackers by name: `mlflow`, or `mlflow:http://127.0.0.1:5000` with the place that is written to."""

from typing import NamedTuple

from glad_ray.errors import UserError, unknown

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
"""their names, which are those of their packages and of the extras that install them"""


class TrackerPlace(NamedTuple):
    """A tracker, and where it writes."""

    name: str
    """one of `TRACKERS`"""
    where: str | None
    """what the tracker takes for a place: a folder, a URI or a project; None: its standard place"""


def parse_tracker(text: str) -> TrackerPlace:
    """A tracker as it is written, `NAME` or `NAME:WHERE`; raises `UserError` if there is none of that name, or nothing
    behind the colon.
    """
    name, colon, where = text.partition(":")
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    if colon and not where.strip():
        raise UserError(
            f"Tracker {text!r} names no place behind the colon: write {name} for its standard place, or {name}:WHERE."
        )
    return TrackerPlace(name, where.strip() or None)
