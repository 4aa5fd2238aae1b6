"""What each run of a sweep is doing, from its storage alone: from any terminal, while it runs and after.

Needs neither PyTorch nor Ray. What lies on storage is fed to the same tally that a view keeps.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from glad_ray.engine import words
from glad_ray.engine.driver import Driver, read_driver
from glad_ray.engine.events import Begun, Event, RunDistilled, RunFailed, RunProgressed, TrainingDone
from glad_ray.engine.replica.stats import ReplicaStats, read_replicas
from glad_ray.engine.tally import Tally
from glad_ray.errors import DataError, UserError
from glad_ray.plan import Plan, experts_needed, read_plan
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
    entries: Mapping[str, Entry]
    """its ledger"""
    failure: Failure | None

    @property
    def last(self) -> Entry | None:
        """What happened last."""
        return max(self.entries.values(), key=lambda entry: entry.at, default=None)

    @property
    def busy(self) -> Iterator[Entry]:
        """What tells how long something took, each time once."""
        for name, entry in self.entries.items():
            if entry.seconds is not None and not (name == "checkpoint" and "distilled" in self.entries):
                yield entry

    def words(self, trainings_total: int) -> str:
        """How far it is, or why it failed."""
        if self.failure is not None:
            return words.of_failure(self.failure)
        if self.state in ("planned", "waiting for experts", "finished"):
            return ""
        if self.distilled:
            return words.of_trainings(len(self.trainings), trainings_total)
        return "" if self.progress is None else words.of_steps(self.progress)


@dataclass(frozen=True)
class Status:
    """What a sweep is doing."""

    storage: Storage
    plan: Plan
    driver: Driver | None
    """who drives it, or did last and was killed; None: nobody"""
    at: datetime
    runs: tuple[RunStatus, ...]
    """in the plan's order"""
    replicas: tuple[ReplicaStats, ...]
    """of generators, that this driver has; as they were when it wrote that down"""
    tally: Tally

    @property
    def seconds_left(self) -> float | None:
        """To the end, at the rates measured and with as much at once as this driver does; None: nobody can say."""
        work = self.tally.work_seconds_left
        if self.driver is None or not self.driver.alive or not work:
            return None
        elapsed = max((self.at - self.driver.since).total_seconds(), 1.0)
        busy = sum(
            min(entry.seconds or 0.0, (entry.at - self.driver.since).total_seconds())
            for each in self.runs
            for entry in each.busy
            if entry.at > self.driver.since
        )
        return work / max(busy / elapsed, 1.0)

    @property
    def counts(self) -> dict[State, int]:
        """Runs in each state that some run is in."""
        counted = Counter(each.state for each in self.runs)
        return {state: counted[state] for state in get_args(State) if counted[state]}


def read_status(storage: Storage) -> Status:
    """What a sweep is doing; raises `UserError` if the storage has none."""
    if not storage.exists(Storage.PLAN):
        raise UserError(f"There is no sweep in {storage}: name the storage that glad-ray sweep was given.")
    reading = _Reading(storage, read_plan(storage), read_driver(storage))
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        runs = tuple(pool.map(reading.run_status, reading.plan.runs))
    tally = Tally(reading.plan)
    for event in reading.events(runs):
        tally.add(event)
    return Status(storage, reading.plan, reading.driver, datetime.now(UTC), runs, reading.replicas(), tally)


class _Reading:
    """One look at a storage: its files are listed once, and only those that tell something are read."""

    def __init__(self, storage: Storage, plan: Plan, driver: Driver | None) -> None:
        self.storage, self.plan, self.driver = storage, plan, driver
        self.paths = frozenset(path for folder in (Storage.RUNS, Storage.RESULTS) for path in storage.tree(folder))
        self.entry_names: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            folder, _, file = path.rpartition("/")
            self.entry_names[folder].append(file.removesuffix(".json"))
        missing = {each.stored_id: len(missing_experts(storage, each)) for each in plan.expert_sets}
        self.experts = {each.stored_id: each.experts.count - missing[each.stored_id] for each in plan.expert_sets}
        """trained, by the ids of expert sets"""
        self.untrained = {each for each, count in missing.items() if count}

    def run_status(self, run: Run) -> RunStatus:
        """What one run is doing."""
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
            entries=entries,
            failure=failure,
        )

    def replicas(self) -> tuple[ReplicaStats, ...]:
        """Those of a driver that lives."""
        if self.driver is None or not self.driver.alive:
            return ()
        return tuple(each for each in read_replicas(self.storage) if each.at >= self.driver.since)

    def events(self, runs: Sequence[RunStatus]) -> Iterator[Event]:
        """What a view would have been told."""
        finished = [each for each in runs if each.state == "finished"]
        yield Begun(tuple(each.run for each in finished), (), (), self.experts)
        for each in runs:
            if each.progress is not None:
                yield RunProgressed(each.run, Progress(0, each.run.steps, 0.0, 0.0))
                yield RunProgressed(each.run, each.progress)
            if each.distilled:
                yield RunDistilled(each.run)
            for evaluation_id, training in each.trainings:
                yield TrainingDone(each.run, evaluation_id, training)
            if each.failure is not None:
                yield RunFailed(each.run, each.failure)
        for each in finished[:_SAMPLED_RUNS]:
            for evaluation_id, training in self._trainings(each.run):
                yield TrainingDone(each.run, evaluation_id, training)

    def _unfinished(self, run: Run, entries: Mapping[str, Entry], distilled: bool) -> State:
        driver = self.driver if self.driver is not None and self.driver.alive else None
        if distilled:
            return "interrupted" if driver is None else "evaluating"
        begun = [entries[name].at for name in ("started", "checkpoint") if name in entries]
        if begun:
            return "interrupted" if driver is None or max(begun) < driver.since else "distilling"
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
