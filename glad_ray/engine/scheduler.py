"""The one scheduler: what runs next, what is tried again, and when nothing new begins. A policy says what there is to
do and what comes of it; an executor does it, in this process or on Ray.

Nothing here imports PyTorch or Ray.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from glad_ray.engine.budget import Budget
from glad_ray.engine.jobs import DistillationJob, DriverJob, Ended, Job, Key, MeasurementJob, Outcome
from glad_ray.engine.shares import ShareTable
from glad_ray.progress.events import (
    Ending,
    Event,
    LookTaken,
    Retried,
    RunProgressed,
    ShareGivenBack,
    ShareTaken,
    TrainingDone,
)
from glad_ray.progress.faults import Attempts, Fault, pause_seconds
from glad_ray.progress.view import View
from glad_ray.spec import Bundle, Run

_POLL_SECONDS = 0.25


class Executor(Protocol):
    """Carries out jobs; everything is called from one thread."""

    def submit(self, job: Job, share: Bundle, attempt: int) -> None:
        """Begin a job with a share, as soon as there is room for it. `attempt`: 0, or how often it failed before."""

    def poll(self, timeout_seconds: float, on_event: Callable[[Event], bool]) -> list[Ended]:
        """The jobs that have ended since the last call, waiting for the first if none has. `on_event` is told what
        those under way report; it returns whether they are to end.
        """

    def capacity(self) -> int:
        """How many distillations may be under way at once, for now; 0: none is to begin."""

    def cancel(self) -> None:
        """Tell all jobs under way to end where they are, and those that have not begun not to begin."""

    def drive(self, turn: Callable[[], bool]) -> None:
        """Call `turn` again and again, until it returns false."""


class Policy(Protocol):
    """What there is to do, and what follows from it."""

    def first(self) -> Iterable[Job | DriverJob]:
        """The jobs that need no other."""

    def more(self, room: int) -> Iterable[Job | DriverJob]:
        """Jobs that can begin now, at most `room` distillations among them, at least 1; none: not now."""

    def succeeded(self, job: Any, value: Any) -> Iterable[Job | DriverJob]:
        """Jobs that follow from the end of one, and what that came to."""

    def reached(self, run: Run, step: int) -> Iterable[Job | DriverJob]:
        """Jobs that can begin while a run is distilled, since it has made this step."""
        return ()

    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[Job | DriverJob]:
        """Jobs that follow from a failure for good; `step`: the last that a distillation made."""

    def interrupted(self, job: Any) -> None:
        """A job ended before its time, or was not begun, since everything ends; the next command goes on with it."""


@dataclass
class _UnderWay:
    job: Any
    attempts: Attempts
    share: Bundle | None = None
    due: float = 0.0
    """when it is to be tried again"""


class Scheduler:
    """Brings a policy's jobs to an executor until there are none, or a budget is spent."""

    def __init__(
        self,
        executor: Executor,
        policy: Policy,
        shares: ShareTable,
        budget: Budget,
        view: View,
        pause: Callable[[int], float] = pause_seconds,
    ) -> None:
        self.executor, self.policy, self.shares, self.budget, self.view = executor, policy, shares, budget, view
        self.ending = False
        """whether a budget is spent"""
        self._pause = pause
        self._under_way: dict[Key, _UnderWay] = {}
        self._waiting: list[_UnderWay] = []
        """to be tried again"""
        self._distilling: set[Key] = set()
        """distillations under way or to be tried again"""
        self._progress: Counter[Key] = Counter()
        """steps of a distillation, and trainings of an evaluation"""
        self._reached: dict[str, tuple[Run, int]] = {}
        """runs, by their ids, that have made steps which the policy was not told of, and the last of them"""
        self._begun = False

    def run(self) -> None:
        """Everything, to its end or to that of what is under way when a budget is spent."""
        self.executor.drive(self.turn)

    def turn(self) -> bool:
        """Begin what can begin and deal with what has ended, waiting a little for that; false: nothing is left."""
        self._watch_budget()
        if not self._begun:
            self._begun = True
            self._submit_all([] if self.ending else self.policy.first())
        self._try_again()
        begun = self._begin_more()
        if not (self._under_way or self._waiting or begun):
            return False
        ended = self.executor.poll(self._timeout_seconds(), self.told)
        while self._reached and not self.ending:
            _, (run, step) = self._reached.popitem()
            self._submit_all(self.policy.reached(run, step))
        for job, outcome in ended:
            self._end(self._under_way.pop(job.key), outcome)
        if ended:
            # At once: an executor passes on what a distillation held if another one is there.
            self._begin_more()
        return True

    def told(self, event: Event) -> bool:
        """Take notice of an event of a job; returns whether jobs are to end."""
        match event:
            case RunProgressed(run, progress):
                key = "trial", run.run_id
                self._progress[key] = max(self._progress[key], progress.step)
                self._reached[run.run_id] = run, self._progress[key]
            case TrainingDone(run, evaluation_id, training):
                self._progress["evaluation", run.run_id, evaluation_id, training.network] += 1
            case LookTaken(run, evaluation_id, network):
                self._progress["look", run.run_id, evaluation_id, network.key] += 1
        match event:
            case ShareTaken(unit, gpus):
                self.budget.taken(unit, gpus)
            case ShareGivenBack(unit, gpus, seconds):
                self.budget.given_back(unit, gpus, seconds)
            case _:
                self.view.show(event)
        self._watch_budget()
        return self.ending

    def _begin_more(self) -> bool:
        if self.ending:
            return False
        # One at least, where nothing else goes on: machines may come for it.
        capacity = max(self.executor.capacity(), 0 if self._under_way or self._waiting else 1)
        at_most = self.shares.resources.max_trials
        room = (capacity if at_most is None else min(capacity, at_most)) - len(self._distilling)
        jobs = list(self.policy.more(room)) if room > 0 else []
        self._submit_all(jobs)
        return bool(jobs)

    def _submit_all(self, jobs: Iterable[Job | DriverJob]) -> None:
        for job in jobs:
            self._submit(_UnderWay(job, Attempts(partial(self._progress.__getitem__, job.key))))

    def _submit(self, each: _UnderWay) -> None:
        job = each.job
        self._under_way[job.key] = each
        attempt = each.attempts.number
        each.attempts.begun()
        if isinstance(job, DriverJob):
            try:
                outcome = Outcome(job.call())
            except Exception as error:
                outcome = Outcome(fault=Fault.of(error))
            self._end(self._under_way.pop(job.key), outcome)
            return
        if isinstance(job, DistillationJob):
            self._distilling.add(job.key)
        each.share = self.shares.of(job.work_class)
        self.executor.submit(job, each.share, attempt)

    def _end(self, each: _UnderWay, outcome: Outcome) -> None:
        fault, job = outcome.fault, each.job
        if fault is not None and fault.kind == "infrastructure":
            self.budget.lost(job.key)
        if fault is not None and self._passes(each, fault):
            self.view.show(Retried(job.label, fault.error))
            each.due = time.monotonic() + self._pause(each.attempts.number)
            self._waiting.append(each)
            return
        self._distilling.discard(job.key)
        if fault is None:
            self._submit_all(self.policy.succeeded(job, outcome.value))
        elif fault.kind == "stopped" or (self.ending and fault.kind == "infrastructure"):
            self.policy.interrupted(job)
        else:
            # What cannot be measured is no run that failed.
            if not isinstance(job, DriverJob | MeasurementJob):
                self.budget.failed(job.run.run_id if hasattr(job, "run") else job.key)
            self._submit_all(self.policy.failed(job, fault.after(each.attempts.number), outcome.step))

    def _passes(self, each: _UnderWay, fault: Fault) -> bool:
        """Whether a job is tried again after a fault."""
        if self.ending and not isinstance(each.job, DriverJob):
            return False
        return each.attempts.passed(fault) or self._grow(each, fault)

    def _grow(self, each: _UnderWay, fault: Fault) -> bool:
        """Whether a job that lacked memory of a GPU gets more of one."""
        if fault.kind != "GPU memory" or each.share is None:
            return False
        return self.shares.grow(each.job.work_class, each.share)

    def _try_again(self) -> None:
        now, waiting = time.monotonic(), self._waiting
        self._waiting = []
        for each in waiting:
            if self.ending and not isinstance(each.job, DriverJob):
                self._distilling.discard(each.job.key)
                self.policy.interrupted(each.job)
            elif each.due <= now:
                self._submit(each)
            else:
                self._waiting.append(each)

    def _timeout_seconds(self) -> float:
        now = time.monotonic()
        return max(0.0, min([_POLL_SECONDS, *(each.due - now for each in self._waiting)]))

    def _watch_budget(self) -> None:
        if not self.ending and (spent := self.budget.spent):
            self.ending = True
            self.view.show(Ending(spent))
            self.executor.cancel()
