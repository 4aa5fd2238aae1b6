"""The images of the sets that runs kept on their way, as far as a page can hold them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from glad_ray.report.pictures import Picture, read_set_picture
from glad_ray.report.runs import RunView
from glad_ray.results.parquet import Tell, read_or_tell
from glad_ray.spec import Run
from glad_ray.storage import Storage

MOST_KEPT_PICTURES = 300
KEPT_PICTURES_BYTES = 12_000_000
"""of all these pictures as text in the page"""
_READS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class KeptPictures:
    """What a page holds of sets before the last step."""

    by_run: Mapping[str, tuple[tuple[int, Picture], ...]]
    """step and picture, ascending, without the last step, whose picture stands among all synthetic images"""
    left_out: frozenset[str]
    """ids of the runs that kept such sets, and whose pictures the page has no room for"""


def kept_pictures(storage: Storage, views: Sequence[RunView], runs: Mapping[str, Run], tell: Tell) -> KeptPictures:
    """The pictures of kept sets, those of the first seeds first: a run has all or none.

    As soon as there are `MOST_KEPT_PICTURES`, or they take `KEPT_PICTURES_BYTES`, nothing more is read. Of sets that
    are damaged `tell` is told.
    """  # fmt: skip
    wanted = [view for view in views if view.run_id in runs and len(runs[view.run_id].snapshot_steps) > 1]
    by_run: dict[str, tuple[tuple[int, Picture], ...]] = {}
    number = size = 0
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        ordered = sorted(wanted, key=lambda view: view.identity.seed)
        for place, view in enumerate(ordered):
            steps = runs[view.run_id].snapshot_steps[:-1]
            if number + len(steps) > MOST_KEPT_PICTURES or size > KEPT_PICTURES_BYTES:
                return KeptPictures(by_run=by_run, left_out=frozenset(each.run_id for each in ordered[place:]))
            read = pool.map(partial(_read, storage, view.run_id, tell), steps)
            found = tuple((step, picture) for step, picture in zip(steps, read, strict=True) if picture is not None)
            number += len(found)
            size += sum(len(picture.uri) for _, picture in found)
            if found:
                by_run[view.run_id] = found
    return KeptPictures(by_run=by_run, left_out=frozenset())


def _read(storage: Storage, run_id: str, tell: Tell, step: int) -> Picture | None:
    path = storage.set_path(run_id, step)
    return read_or_tell(partial(read_set_picture, storage, path), tell) if storage.exists(path) else None
