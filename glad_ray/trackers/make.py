"""From the name of a tracker to what writes to it."""

from pathlib import Path

from glad_ray.errors import UserError
from glad_ray.paths import expanded
from glad_ray.spec.trackers import TrackerPlace
from glad_ray.storage import Storage
from glad_ray.trackers.base import Tracker


def with_place(place: TrackerPlace, storage: Storage) -> TrackerPlace:
    """A tracker with its place where that is not the tracker's own affair; raises `UserError` if there is none."""
    if place.name != "tensorboard":
        return place
    if place.where is not None:
        return place._replace(where=str(expanded(Path(place.where))))
    folder = storage.local_path("tensorboard")
    if folder is None:
        raise UserError(f"TensorBoard writes to a folder, and {storage} is none: give it one, tensorboard:FOLDER.")
    return place._replace(where=str(folder))


def make_tracker(place: TrackerPlace, sweep: str) -> Tracker:
    """The tracker at a place, for a sweep of that name; imports its package."""
    match place.name:
        case "tensorboard":
            from glad_ray.trackers.tensorboard import TensorBoard

            assert place.where is not None, "filled in by with_place"
            return TensorBoard(place.where)
        case "mlflow":
            from glad_ray.trackers.mlflow import Mlflow

            return Mlflow(place.where, sweep)
        case "wandb":
            from glad_ray.trackers.wandb import WeightsAndBiases

            return WeightsAndBiases(place.where)
        case "trackio":
            from glad_ray.trackers.trackio import Trackio

            return Trackio(place.where, sweep)
    raise AssertionError(f"{place.name} is no tracker")
