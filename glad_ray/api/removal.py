"""Runs taken out of a storage with everything that was made of them, so that it is as if they had not been begun.

The plan stays as it is: a removed run of the sweep is planned again, and the same sweep makes it. Files go in an order
in which what is left of a run is at every moment what an unfinished run has: first its rows, then what was trained on
its sets, then that it is distilled, its checkpoints, its sets, and last its record, by which the same removal finds it
again. So a removal that is killed leaves nothing wrong behind, and the same one finishes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from glad_ray.api.results import load
from glad_ray.api.running import say
from glad_ray.errors import UserError
from glad_ray.plan import experts_needed, plan_search, read_plan
from glad_ray.progress.driver import driving
from glad_ray.results import completed, evaluated, read_run, read_search
from glad_ray.results.parquet import read_or_tell
from glad_ray.results.table import rows_in
from glad_ray.spec import ExpertSet, Run, Sweep
from glad_ray.spec.experts import merged
from glad_ray.spec.written.overrides import runs_with
from glad_ray.storage import Storage

_AT_ONCE = 16
_REPORT = (
    Storage.REPORT_TABLE,
    Storage.REPORT_PUBLISHED,
    Storage.REPORT_SCORES,
    Storage.REPORT_ORDERS,
    Storage.REPORT_ORDERS_TEXT,
    # The page last, which says that there is a report.
    Storage.REPORT,
)
_RUN = Storage.run_path("*")
_SCORED = (Storage.trainings_path("*", "*", "*"), f"{Storage.looks_folder('*')}/*")
_CHECKPOINTS = f"{Storage.checkpoint_folder('*')}/*"
_SETS = (Storage.synthetic_set_path("*"), f"{Storage.set_folder('*')}/*")
_FIRST = (
    Storage.entry_path("*", completed("*")),
    Storage.results_path("*", "*"),
    Storage.failure_path("*"),
    Storage.entry_path("*", evaluated("*", "*")),
    *_SCORED,
    Storage.entry_path("*", "distilled"),
    Storage.distillation_path("*"),
    Storage.entry_path("*", "checkpoint"),
    _CHECKPOINTS,
)
"""the files of a run that go first, in this order: an entry of the ledger before the files whose content it states, and
checkpoints before candidate sets, which a run that goes on from a checkpoint does not make again"""


@dataclass(frozen=True, kw_only=True)
class RemovedRun:
    """What storage holds of a run that is to be removed."""

    run: Run
    files: Mapping[str, int]
    """bytes by path, in the order in which they go"""
    rows: int
    """of the table of results"""

    @property
    def sets(self) -> int:
        """Number of synthetic sets: that after the last step, and the candidates."""
        return self._count(*_SETS)

    @property
    def checkpoints(self) -> int:
        """Number of checkpoints."""
        return self._count(_CHECKPOINTS)

    @property
    def scored(self) -> int:
        """Number of files with the scores of a network that was trained on its sets, looks included."""
        return self._count(*_SCORED)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.files.values())

    def _count(self, *patterns: str) -> int:
        return sum(any(fnmatchcase(path, pattern) for pattern in patterns) for path in self.files)


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What was removed from a storage, or would be."""

    storage: Storage
    runs: tuple[RemovedRun, ...]
    """that meet the conditions; of some of them storage may hold no file"""
    unneeded: Mapping[ExpertSet, int]
    """experts that these runs alone need, and their bytes"""
    with_experts: bool
    """whether those go too"""

    @property
    def bytes(self) -> int:
        """Of everything that goes."""
        return sum(each.bytes for each in self.runs) + (sum(self.unneeded.values()) if self.with_experts else 0)


def find_removal(storage: Storage, only: Sequence[str], experts: bool = False) -> Removal:
    """What removing the runs that meet conditions would take from a storage.

    Runs are those of its plan, and those that lie there from another sweep; but not the trials of a search, for what it
    draws follows from the trials before. Raises `UserError` if no run meets the conditions, or there are none.
    """
    if not only:
        raise UserError("Nothing says which runs to remove: name a field that they have, as in algorithm=dm.")
    sweep = read_plan(storage).sweep if storage.exists(Storage.PLAN) else None
    runs = _runs(storage, sweep)
    wanted = runs_with(runs, only, f"the runs in {storage}")
    parts = [path for path in storage.list(Storage.RESULTS) if path.endswith(".parquet")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = tuple(pool.map(partial(_of_run, storage, parts), wanted))
    ids = {run.run_id for run in wanted}
    others = [run for run in runs if run.run_id not in ids]
    return Removal(
        storage=storage,
        runs=found,
        unneeded=_unneeded(storage, sweep, wanted, others),
        with_experts=experts,
    )


def carry_out(removal: Removal) -> None:
    """Remove it, and write the report anew if there is one; whoever calls it drives the storage (`driving`)."""
    from glad_ray.report import write_report

    storage = removal.storage
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(partial(_remove_run, storage), removal.runs):
            pass
    for expert_set in removal.unneeded if removal.with_experts else ():
        storage.delete(storage.expert_folder(expert_set.stored_id))
    if not storage.exists(Storage.REPORT):
        return
    if storage.exists(Storage.PLAN) or storage.list(Storage.RUNS):
        write_report(storage)
    else:
        for path in _REPORT:
            storage.delete(path)


def remove(storage: str | Path, only: Iterable[str], *, experts: bool = False) -> Removal:
    """Remove the runs that have `key=value` from a storage: rows, sets, checkpoints and everything else of theirs.

    `only`: conditions as `--only` takes them (`["algorithm=dm", "seed=0"]`): one of the values of a key, and so for
    every key. `experts`: also those networks trained on real data that no other run there needs; they stay otherwise.
    Returns what was removed. Removed runs of the sweep are planned again; called again after an interruption, it
    finishes. Raises `UserError` if a driver is running there, there is no such run, or nothing was asked for.
    """
    kept = load(storage).storage
    with driving(kept, say):
        removal = find_removal(kept, tuple(only), experts)
        carry_out(removal)
    return removal


def _runs(storage: Storage, sweep: Sweep | None) -> list[Run]:
    """Those of the plan, and those that another sweep left."""
    runs = {run.run_id: run for run in (sweep.runs if sweep else ())}
    if storage.exists(Storage.SEARCH):
        if not runs:
            raise UserError(
                f"{storage} holds the trials of a search, which cannot be removed one by one, for what it draws "
                "follows from the trials before: delete the folder, or search in another storage."
            )
        return list(runs.values())
    for folder in storage.list(Storage.RUNS):
        run_id = folder.rpartition("/")[2]
        if run_id not in runs and storage.exists(storage.run_path(run_id)):
            # Whether a run with a damaged record meets the conditions, nobody can tell.
            run = read_or_tell(partial(read_run, storage, run_id), say)
            if run is not None:
                runs[run_id] = run
    return list(runs.values())


def _of_run(storage: Storage, parts: Iterable[str], run: Run) -> RemovedRun:
    own = [path for path in parts if path.startswith(f"{Storage.RESULTS}/{run.run_id}-")]
    sizes = storage.sizes(storage.run_folder(run.run_id)) | {path: storage.size(path) for path in own}
    return RemovedRun(
        run=run,
        files={path: sizes[path] for path in sorted(sizes, key=_turn)},
        rows=sum(rows_in(storage, path) for path in own),
    )


def _turn(path: str) -> tuple[int, str]:
    if fnmatchcase(path, _RUN):
        return len(_FIRST) + 1, path
    turns = (number for number, pattern in enumerate(_FIRST) if fnmatchcase(path, pattern))
    return next(turns, len(_FIRST)), path


def _unneeded(
    storage: Storage, sweep: Sweep | None, removed: Iterable[Run], others: Iterable[Run]
) -> dict[ExpertSet, int]:
    """Experts on storage that removed runs need and no others do, by those evaluations that are known."""
    known = sweep or Sweep(name="kept", runs=())
    needed = merged(each for run in removed for each in experts_needed(run, known))
    kept = {each.stored_id for run in others for each in experts_needed(run, known)}
    if storage.exists(Storage.SEARCH):
        kept |= {each.stored_id for each in plan_search(read_search(storage), storage).expert_sets}
    sizes = {
        each: sum(storage.sizes(storage.expert_folder(each.stored_id)).values())
        for each in needed
        if each.stored_id not in kept
    }
    return {each: size for each, size in sizes.items() if size}


def _remove_run(storage: Storage, removed: RemovedRun) -> None:
    for path in removed.files:
        storage.delete(path)
    # Only folders are left, which are empty.
    storage.delete(storage.run_folder(removed.run.run_id))
