"""What each run of a sweep is doing, from its storage alone: from any terminal, while it runs and after.

Needs neither PyTorch nor Ray. What lies on storage is fed to the same tally that a view keeps.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from glad_ray.errors import DataError, UserError
from glad_ray.plan import Plan, experts_needed, read_plan
from glad_ray.progress import formatting
from glad_ray.progress.driver import Seen, look_at_driver
from glad_ray.progress.events import Begun, Event, LookTaken, RunDistilled, RunFailed, RunProgressed, TrainingDone
from glad_ray.progress.replica_stats import ReplicaStats, read_replicas
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.progress.taken import looks_taken
from glad_ray.results import (
    Entry,
    Failure,
    Progress,
    Training,
    missing_experts,
    read_entry,
    read_failure,
    read_trainings,
)
from glad_ray.spec import Run
from glad_ray.storage import Storage

State = Literal["distilling", "evaluating", "interrupted", "waiting for experts", "planned", "failed", "finished"]
"""`interrupted`: begun, and no driver that lives goes on with it, or not yet"""

_READS_AT_ONCE = 16
# The coarsest clock of a storage.
_CLOCK_SECONDS = 1.0
# Of finished runs, whose trainings only tell how long one takes.
_SAMPLED_RUNS = 16


@dataclass(frozen=True)
class RunStatus:
    """What one run is doing."""

    run: Run
    state: State
    progress: Progress | None
    """of its distillation, as of its last checkpoint; None: not begun, or it makes no steps"""
    distilled: bool
    trainings: tuple[tuple[str, Training], ...]
    """made so far, with the evaluation's id, unless it is finished"""
    looks: tuple[LookTaken, ...]
    """as the trainings"""
    entries: Mapping[str, Entry]
    """its ledger"""
    failure: Failure | None

    @property
    def trained(self) -> int:
        """Trainings made so far, of looks too; 0 of a run that is finished."""
        return len(self.trainings) + len(self.looks)

    @property
    def last(self) -> Entry | None:
        """What happened last."""
        return max(self.entries.values(), key=lambda entry: entry.at, default=None)

    def words(self, trainings_total: int) -> str:
        """How far it is, or why it failed."""
        if self.failure is not None:
            return formatting.of_failure(self.failure)
        if self.state in ("planned", "waiting for experts", "finished"):
            return ""
        if self.distilled:
            return formatting.of_trainings(self.trained, trainings_total)
        return "" if self.progress is None else formatting.of_steps(self.progress)


@dataclass(frozen=True)
class Status:
    """What a sweep is doing."""

    storage: Storage
    plan: Plan
    driver: Seen | None
    """who drives it, or did last and was killed; None: nobody"""
    at: datetime
    """when it was read, by this machine's clock; files are older, or lie ahead, by the clocks that wrote them"""
    runs: tuple[RunStatus, ...]
    """in the plan's order"""
    replicas: tuple[ReplicaStats, ...]
    """of generators, that this driver has; as they were when it wrote that down"""
    sweep_progress: SweepProgress
    at_once: float
    """units of work that this driver does at a time, on average"""

    @property
    def seconds_left(self) -> float | None:
        """To the end, at the rates measured and with as much at once as this driver does; None: nobody can say."""
        work = self.sweep_progress.work_seconds_left
        if self.driver is None or not self.driver.alive or not work:
            return None
        return work / max(self.at_once, 1.0)

    @property
    def counts(self) -> dict[State, int]:
        """Runs in each state that some run is in."""
        counted = Counter(each.state for each in self.runs)
        return {state: counted[state] for state in get_args(State) if counted[state]}


def read_status(storage: Storage, driver: Seen | None = None) -> Status:
    """What a sweep is doing; raises `UserError` if the storage has none.

    `driver`: who drives it, if the caller has looked already.
    """
    return StatusReader(storage).read(driver or look_at_driver(storage))


class StatusReader:
    """Reads the status of a sweep again and again. The plan, and the files of runs that have ended, are read once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._plan: tuple[tuple[float | None, int], Plan, SweepProgress] | None = None
        """with when it was written and its bytes, and the progress of a sweep of which nothing is done"""
        self._ended: dict[str, _Ended] = {}
        """by the ids of runs"""
        self._sampled: dict[str, tuple[tuple[str, Training], ...]] = {}
        """trainings of some finished runs, by their ids"""

    def read(self, driver: Seen | None) -> Status:
        """What the sweep is doing now; raises `UserError` if the storage has none. `driver`: who drives it."""
        if not self.storage.exists(Storage.PLAN):
            raise UserError(f"There is no sweep in {self.storage}: name the storage that glad-ray sweep was given.")
        plan, untouched = self._read_plan()
        reading = _Reading(self.storage, plan, driver, self._ended, self._sampled)
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            runs = tuple(pool.map(reading.run_status, plan.runs))
        sweep_progress = untouched.with_nothing_done()
        for event in reading.events(runs):
            sweep_progress.add(event)
        return Status(
            self.storage,
            plan,
            driver,
            datetime.now(UTC),
            runs,
            reading.replicas(),
            sweep_progress,
            reading.at_once(runs),
        )

    def _read_plan(self) -> tuple[Plan, SweepProgress]:
        written = self.storage.modified(Storage.PLAN), self.storage.size(Storage.PLAN)
        if self._plan is None or written[0] is None or self._plan[0] != written:
            plan = read_plan(self.storage)
            self._plan = (written, plan, SweepProgress(plan))
            self._ended.clear()
            self._sampled.clear()
        return self._plan[1:]


class _Ended(NamedTuple):
    """A run that has ended, and when its files were written."""

    files: Mapping[str, float | None]
    status: RunStatus


class _Reading:
    """One look at a storage: its files are listed once, and only those that tell something are read."""

    def __init__(
        self,
        storage: Storage,
        plan: Plan,
        driver: Seen | None,
        ended: dict[str, _Ended],
        sampled: dict[str, tuple[tuple[str, Training], ...]],
    ) -> None:
        self.storage, self.plan, self.driver = storage, plan, driver
        self.ended, self.sampled = ended, sampled
        self.paths: dict[str, float | None] = {}
        for folder in (Storage.RUNS, Storage.RESULTS):
            self.paths |= storage.times(folder)
        self.entry_names: defaultdict[str, list[str]] = defaultdict(list)
        self.files: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
        """when the files of each run were written, by its id"""
        for path, written in self.paths.items():
            folder, _, file = path.rpartition("/")
            self.entry_names[folder].append(file.removesuffix(".json"))
            self.files[path.split("/", 2)[1].partition("-")[0]][path] = written
        self.newest = max((each for each in self.paths.values() if each is not None), default=0.0)
        missing = {each.stored_id: len(missing_experts(storage, each)) for each in plan.expert_sets}
        self.experts = {each.stored_id: each.experts.count - missing[each.stored_id] for each in plan.expert_sets}
        """trained, by the ids of expert sets"""
        self.untrained = {each for each, count in missing.items() if count}

    def run_status(self, run: Run) -> RunStatus:
        """What one run is doing; read only if it had not ended, or its files have changed."""
        files = self.files.get(run.run_id, {})
        before = self.ended.get(run.run_id)
        if before is not None and before.files == files:
            return before.status
        status = self._read_run_status(run)
        if status.state in ("finished", "failed") and self._settled(files):
            self.ended[run.run_id] = _Ended(files, status)
        return status

    def _settled(self, files: Mapping[str, float | None]) -> bool:
        """Whether a file that is written again has another time then."""
        times = [each for each in files.values() if each is not None]
        return len(times) == len(files) and max(times, default=0.0) < self.newest - _CLOCK_SECONDS

    def _read_run_status(self, run: Run) -> RunStatus:
        entries = self._entries(run)
        evaluations = self.plan.sweep.evaluations
        finished = all(self.storage.results_path(run.run_id, each.content_id) in self.paths for each in evaluations)
        distilled = self.storage.distillation_path(run.run_id) in self.paths
        failure = None if finished else self._failure(run)
        if finished or failure:
            state: State = "finished" if finished else "failed"
        else:
            state = self._unfinished(run, entries, distilled)
        return RunStatus(
            run=run,
            state=state,
            progress=_progress(run, entries, distilled),
            distilled=distilled,
            trainings=() if finished or not distilled else tuple(self._trainings(run)),
            looks=() if finished or not distilled else tuple(self._looks(run)),
            entries=entries,
            failure=failure,
        )

    def replicas(self) -> tuple[ReplicaStats, ...]:
        """Those of a driver that lives."""
        if self.driver is None or not self.driver.alive:
            return ()
        modified = self.storage.modified(Storage.REPLICAS)
        return tuple(
            each for each in read_replicas(self.storage) if self._driven_seconds(modified, each.at) > -_CLOCK_SECONDS
        )

    def at_once(self, runs: Sequence[RunStatus]) -> float:
        """Seconds that units of work took of this driver's time, by that time."""
        if self.driver is None or not self.driver.alive:
            return 0.0
        busy = 0.0
        longest = max(self.driver.driver.driven_seconds, 1.0)
        for each in runs:
            for name, entry in each.entries.items():
                driven = self._driven_at(each.run, name, entry)
                longest = max(longest, driven)
                # What a checkpoint says, the entry of the whole distillation says again.
                if driven > 0 and not (name == "checkpoint" and "distilled" in each.entries):
                    busy += min(entry.seconds or 0.0, driven)
        return busy / longest

    def _driven_at(self, run: Run, name: str, entry: Entry) -> float:
        """Seconds from the driver's begin to an entry; negative: it was there before."""
        return self._driven_seconds(self.paths.get(self.storage.entry_path(run.run_id, name)), entry.at)

    def _driven_seconds(self, modified: float | None, at: datetime) -> float:
        """Seconds from the driver's begin to when a file was written: by the storage's clock, or, if it has none, by
        those of the machines that wrote the file and the claim.
        """
        assert self.driver is not None
        if modified is None or self.driver.began is None:
            return (at - self.driver.driver.since).total_seconds()
        return modified - self.driver.began

    def events(self, runs: Sequence[RunStatus]) -> Iterator[Event]:
        """What a view would have been told."""
        finished = [each for each in runs if each.state == "finished"]
        yield Begun(tuple(each.run for each in finished), (), (), (), self.experts)
        for each in runs:
            if each.progress is not None:
                yield RunProgressed(each.run, Progress(0, each.run.steps, 0.0, 0.0))
                yield RunProgressed(each.run, each.progress)
            if each.distilled:
                yield RunDistilled(each.run)
            for evaluation_id, training in each.trainings:
                yield TrainingDone(each.run, evaluation_id, training)
            yield from each.looks
            if each.failure is not None:
                yield RunFailed(each.run, each.failure)
        for each in finished[:_SAMPLED_RUNS]:
            if each.run.run_id not in self.sampled:
                self.sampled[each.run.run_id] = tuple(self._trainings(each.run))
            for evaluation_id, training in self.sampled[each.run.run_id]:
                yield TrainingDone(each.run, evaluation_id, training)

    def _unfinished(self, run: Run, entries: Mapping[str, Entry], distilled: bool) -> State:
        driven = self.driver is not None and self.driver.alive
        if distilled:
            return "evaluating" if driven else "interrupted"
        begun = [name for name in ("started", "checkpoint") if name in entries]
        if begun:
            now = driven and max(self._driven_at(run, name, entries[name]) for name in begun) > -_CLOCK_SECONDS
            return "distilling" if now else "interrupted"
        needed = experts_needed(run, self.plan.sweep)
        whole = not any(each.stored_id in self.untrained for each in needed)
        return "planned" if whole else "waiting for experts"

    def _entries(self, run: Run) -> dict[str, Entry]:
        names = self.entry_names.get(self.storage.ledger_folder(run.run_id), ())
        read = ((name, read_entry(self.storage, run.run_id, name)) for name in names)
        return {name: entry for name, entry in read if entry is not None}

    def _failure(self, run: Run) -> Failure | None:
        if self.storage.failure_path(run.run_id) not in self.paths:
            return None
        # It may be gone since the files were listed: the run is tried again.
        with contextlib.suppress(DataError):
            return read_failure(self.storage, run.run_id)
        return None

    def _looks(self, run: Run) -> Iterator[LookTaken]:
        for evaluation in self.plan.sweep.evaluations:
            yield from looks_taken(self.storage, run, evaluation)

    def _trainings(self, run: Run) -> Iterator[tuple[str, Training]]:
        for evaluation in self.plan.sweep.evaluations:
            for network in evaluation.networks:
                key = (run.run_id, evaluation.content_id, network.key)
                if self.storage.trainings_path(*key) not in self.paths:
                    continue
                # A damaged file counts as none: the next driver makes it again.
                with contextlib.suppress(DataError):
                    yield from ((evaluation.content_id, training) for training in read_trainings(self.storage, *key))


def _progress(run: Run, entries: Mapping[str, Entry], distilled: bool) -> Progress | None:
    if distilled:
        taken = entries["distilled"].seconds if "distilled" in entries else None
        return None if taken is None else Progress(run.steps, run.steps, 0.0, taken)
    if not run.distils or "started" not in entries:
        return None
    reached = entries.get("checkpoint")
    if reached is None:
        return Progress(0, run.steps, 0.0, 0.0)
    return Progress(reached.step or 0, run.steps, reached.loss or 0.0, reached.seconds or 0.0)
