"""What a storage holds, as an object: tables, records, sets, pictures, of a sweep or search that ended or goes on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from glad_ray.errors import DataError, UserError
from glad_ray.plan import Plan, read_plan
from glad_ray.results import (
    Failure,
    SearchTrial,
    read_failures,
    read_losses,
    read_results,
    read_run,
    read_search,
    read_trials,
)
from glad_ray.spec import Run, Search, Selection, Sweep
from glad_ray.storage import Storage

if TYPE_CHECKING:
    import pandas as pd

    from glad_ray.progress.status import Status
    from glad_ray.synthetic_set import SyntheticSet


def load(storage: str | Path) -> "Results":
    """What a sweep or search wrote to a folder or URI, ended or not.

    Raises `UserError` if there is none.
    """
    kept = Storage.open(storage, create=False)
    if not (kept.exists(Storage.PLAN) or kept.exists(Storage.SEARCH) or kept.list(Storage.RUNS)):
        raise UserError(f"There is no sweep or search in {kept}: name the storage that one was given.")
    return Results(kept)


@dataclass(frozen=True)
class Picture:
    """A picture that a notebook draws."""

    png: bytes = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.png)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True)
class Results:
    """What a storage holds. Everything is read when it is asked for, so that it is as of now; nothing is written but by
    `report` and `resume`.

    Where a run is asked for, its record or its id names it. A file that is missing or damaged is a `DataError` that
    names it.
    """

    storage: Storage

    def to_pandas(self, selection: Selection | None = None) -> "pd.DataFrame":
        """One row for every training of a network on the set of a run that is finished; its columns are those of
        docs/results-columns.md.

        `selection`: those of one way of choosing the step (last, held-out, looks, best-on-test). Without it, a training
        that several selections took has a row under each of them, and a mean over all rows means nothing.
        """
        table = read_results(self.storage).to_pandas()
        return table if selection is None else table[table.selection == selection].reset_index(drop=True)

    @property
    def sweep(self) -> Sweep:
        """The sweep; of a search, that of its winner with fresh seeds."""
        return self._plan.sweep

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs: those of the sweep in the order in which they start, or of a search in that of their ids."""
        if self.storage.exists(Storage.PLAN):
            return self._plan.runs
        ids = [folder.rpartition("/")[2] for folder in self.storage.list(Storage.RUNS)]
        # The folder of a set that was scored by itself has no run.
        begun = (run_id for run_id in ids if self.storage.exists(self.storage.run_path(run_id)))
        return tuple(read_run(self.storage, run_id) for run_id in begun)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Why runs failed: run_id, stage (experts, distill, evaluate), error (a line), traceback, step, finished_at."""
        return read_failures(self.storage)

    @property
    def status(self) -> "Status":
        """What every run of the sweep is doing, as `glad-ray status` tells it."""
        from glad_ray.progress.status import read_status

        return read_status(self.storage)

    @property
    def search(self) -> Search:
        """The search that was made."""
        return read_search(self.storage)

    @property
    def trials(self) -> tuple[SearchTrial, ...]:
        """The trials of a search, in their order; none of a sweep."""
        return read_trials(self.storage)

    def synthetic_set(self, run: Run | str) -> "SyntheticSet":
        """What a run distilled: images as networks see them (images, channels, side, side), labels, latents."""
        from glad_ray.synthetic_set import SyntheticSet

        path = self.storage.synthetic_set_path(_id(run))
        return SyntheticSet.from_bytes(self.storage.read_bytes(path), path)

    def losses(self, run: Run | str) -> "pd.DataFrame":
        """The matching loss of every step of a run that is distilled: step (from 1), loss, seconds since it began."""
        import pandas as pd

        curve = read_losses(self.storage, _id(run))
        if curve is None:
            raise DataError(f"Run {_id(run)} has no losses in {self.storage}: it is not distilled, or makes no steps.")
        return pd.DataFrame({"step": curve.steps, "loss": curve.losses, "seconds": curve.seconds})

    def images(self, run: Run | str) -> Picture:
        """The images of a run's set side by side, a row a class."""
        return Picture(self.storage.read_bytes(self.storage.images_path(_id(run))))

    def report(self) -> str:
        """Write the report, and return where it is; of a search, that of the search."""
        from glad_ray.report import write_report, write_search_report

        made = []
        if self.storage.exists(Storage.SEARCH):
            made.append(write_search_report(self.storage))
        if not made or self.storage.exists(Storage.PLAN):
            made.append(write_report(self.storage))
        return f"{self.storage}/{made[0]}"

    def resume(self, *, address: str | None = None, in_process: bool = False, device: str = "auto") -> "Results":
        """Go on with the sweep or search where it stopped; as `run` and `search`, which say what these are."""
        from glad_ray.api import commands

        where = self.storage.uri
        if self.storage.exists(Storage.SEARCH):
            return commands.search(self.search, where, address=address, in_process=in_process, device=device)
        return commands.run(self.sweep, where, address=address, in_process=in_process, device=device)

    def _repr_html_(self) -> str:
        return f"<pre>{self!r}</pre>"

    def __repr__(self) -> str:
        if self.storage.exists(Storage.PLAN):
            states = ", ".join(f"{count} {state}" for state, count in self.status.counts.items())
            return f"Results of {self.sweep.name} in {self.storage}: {states or 'no runs'}"
        return f"Results in {self.storage}: {len(self.trials)} trials"

    @property
    def _plan(self) -> Plan:
        if not self.storage.exists(Storage.PLAN):
            raise UserError(f"There is no sweep in {self.storage}: it has a search without a winner, or single runs.")
        return read_plan(self.storage)


def _id(run: Run | str) -> str:
    return run if isinstance(run, str) else run.run_id
