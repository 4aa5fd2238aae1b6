"""Runs as the page shows them one by one: names, pictures, losses, time and memory."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from glad_ray.report import wording
from glad_ray.report.figures.curves import loss_panel
from glad_ray.report.pictures import Picture, read_picture
from glad_ray.report.tables.identity import Identity, Place
from glad_ray.results import LossCurve, read_losses
from glad_ray.results.parquet import Tell, read_or_tell
from glad_ray.spec import Run
from glad_ray.storage import Storage

_WORK = ("distill", "evaluate")
MOST_PICTURES = 300
"""on a page, about 100 kB each"""
_READS_AT_ONCE = 16


@dataclass(frozen=True)
class RunView:
    """A run as the page shows it."""

    run_id: str
    identity: Identity
    name: str
    """what tells it apart under a heading with its dataset: `DC f4, seed 1`"""
    row: Mapping[str, Any] | None
    """one of its rows, for what is the same in all; None if it has not been scored"""
    steps: int | None
    evaluate_seconds: float | None
    """mean of its trainings at the last step"""
    evaluate_peak_memory_bytes: int | None
    devices: str
    record: str | None


def run_views(
    rows: Sequence[Mapping[str, Any]],
    identities: Mapping[str, Identity],
    variants: Mapping[str, str],
    runs: Mapping[str, Run],
) -> list[RunView]:
    """All runs that are known, in the order of tables."""
    rows_of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["selection"] == "last":
            rows_of[row["run_id"]].append(row)
    seeds = {identity.seed for identity in identities.values()}
    views = []
    for run_id, identity in identities.items():
        of_run, run = rows_of[run_id], runs.get(run_id)
        name = wording.run_name(identity.algorithm, identity.space)
        parts = [name, variants[run_id], f"seed {identity.seed}" if len(seeds) > 1 else ""]
        views.append(
            RunView(
                run_id=run_id,
                identity=identity,
                name=", ".join(part for part in parts if part),
                row=of_run[0] if of_run else None,
                steps=run.steps if run else max((row["step"] for row in of_run), default=None),
                evaluate_seconds=mean([row["evaluate_seconds"] for row in of_run]),
                evaluate_peak_memory_bytes=max((row["evaluate_peak_memory_bytes"] for row in of_run), default=None),
                devices=", ".join(
                    sorted({row[f"{work}_device"] for row in of_run for work in ("distill", "evaluate")})
                ),
                record=run.model_dump_json(indent=1) if run else None,
            )
        )
    return sorted(views, key=lambda view: (view.identity.order, view.name))


def mean(values: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return sum(values) / len(values) if values else None


def pictures(
    storage: Storage, views: Sequence[RunView], tell: Tell
) -> list[tuple[Place, list[tuple[RunView, Picture]], int]]:
    """The images of each run that has any, by place; where there are too many for a page, those of the first seeds.

    With each place comes how many of its runs were left out. Of pictures that are damaged `tell` is told.
    """
    by_place = _by_place(views)
    most = MOST_PICTURES if len(views) <= MOST_PICTURES else max(1, MOST_PICTURES // len(by_place))
    found = []
    for place, of_place in by_place.items():
        chosen = {id(view) for view in sorted(of_place, key=lambda view: view.identity.seed)[:most]}
        with_images = [
            view for view in of_place if id(view) in chosen and storage.exists(storage.images_path(view.run_id))
        ]
        read = [
            (view, read_or_tell(partial(read_picture, storage, storage.images_path(view.run_id)), tell))
            for view in with_images
        ]
        shown = [(view, picture) for view, picture in read if picture is not None]
        if shown:
            found.append((place, shown, len(of_place) - len(chosen)))
    return found


def read_curves(storage: Storage, views: Sequence[RunView], tell: Tell) -> dict[str, LossCurve]:
    """The losses of the runs that have any, by run id; of damaged files `tell` is told."""
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        read = pool.map(lambda view: read_or_tell(partial(read_losses, storage, view.run_id), tell), views)
    curves = zip((view.run_id for view in views), read, strict=True)
    return {run_id: curve for run_id, curve in curves if curve is not None and curve.losses}


def losses(
    views: Sequence[RunView], curves: Mapping[str, LossCurve]
) -> list[tuple[Place, list[tuple[str, str, Markup]]]]:
    """A panel per place, algorithm and space, its settings and seeds together; `curves` are by run id."""
    found = []
    for group, (place, of_place) in enumerate(_by_place(views).items(), 1):
        of_panels: dict[tuple[str, str], list[LossCurve]] = defaultdict(list)
        for view in of_place:
            if view.run_id in curves:
                of_panels[view.identity.algorithm, view.identity.space].append(curves[view.run_id])
        panels = []
        for number, ((algorithm, space), of_panel) in enumerate(of_panels.items(), 1):
            name = wording.run_name(algorithm, space)
            runs = wording.counted(len(of_panel), "run") if len(of_panel) > 1 else ""
            drawn = loss_panel(
                of_panel, algorithm, f"loss-{group}-{number}", f"Matching loss of {name}: {_course(of_panel)}"
            )
            panels.append((name, runs, Markup(drawn)))
        if panels:
            found.append((place, panels))
    return found


def network_costs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean time and peak memory of a training, by network."""
    trainings: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["selection"] == "last":
            trainings[row["network"]].append(row)
    return [
        {
            "key": key,
            "trainings": len(of_network),
            "seconds": mean([row["evaluate_seconds"] for row in of_network]),
            "memory": max(row["evaluate_peak_memory_bytes"] for row in of_network),
        }
        for key, of_network in trainings.items()
    ]


def _by_place(views: Sequence[RunView]) -> dict[Place, list[RunView]]:
    groups: dict[Place, list[RunView]] = defaultdict(list)
    for view in views:
        groups[view.identity.place].append(view)
    return groups


def _course(curves: Sequence[LossCurve]) -> str:
    return "; ".join(
        f"{curve.losses[0]:.4g} at step 1, {curve.losses[-1]:.4g} at step {len(curve.losses)}" for curve in curves
    )
