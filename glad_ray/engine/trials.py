"""Distillations as trials of Ray Tune, one a run: given to Tune in order as they can start, and again where a fault of
infrastructure ended them.

A trial holds no share: it waits for the distillation, a task that the driver submits as it does the evaluations, so
that one process serves both. The task has a share for as long as it computes: neither imports nor a trial that has
distilled keep a share from others. Whatever goes wrong is a result and ends the trial normally, one that is itself lost
apart, which the task survives; Tune repeats nothing. What is done lies on storage, not in Tune's state, which nobody
reads: a distillation started again resumes from the run's own checkpoint.

Nothing here imports PyTorch, which the processes of trials go without.
"""

import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from glad_ray.engine.faults import LOST, RETRIES, Fault, pause_seconds
from glad_ray.engine.shares import Kind, Shares, ray_options
from glad_ray.spec import Run, Slice

if TYPE_CHECKING:
    from glad_ray.engine.shared import Shared

_AHEAD = 2
"""trials whose tasks wait for a share, so that one that comes free is taken at once"""
# Tune wants some resource of every trial: a byte of memory.
_NO_SHARE: dict[str, float] = {"cpu": 0, "memory": 1}


Start = Callable[[Run, Slice, int], "ray.ObjectRef[Any]"]
"""Submits a run's distillation with a share, after so many tries before."""


class Listener(Protocol):
    """Who knows what trials need and is told how they get on, in the driver's thread."""

    def startable(self, run: Run) -> bool | None:
        """Whether a run can start; None: not yet. False is asked for once: the run has been dealt with."""

    def slots(self) -> int:
        """How many trials the cluster has room for at once."""

    @property
    def ending(self) -> bool:
        """Whether nothing new is to be started."""

    def distilled(self, run: Run) -> None:
        """A run's synthetic set is on storage."""

    def faulted(self, run: Run, fault: Fault, step: int | None) -> None:
        """A run ended by a fault, its own or one of infrastructure that came too often."""

    def retried(self, what: str, error: str) -> None:
        """A trial met a fault that passes and is tried again."""

    def poll(self) -> None:
        """Nothing happened, or something did: called many times a second."""


def run_trials(runs: Sequence[Run], shared: "Shared", shares: Shares, listener: Listener, work: Any) -> None:
    """Distil runs in their order by the task `work` (see `distil_task`), as many at once as there are shares."""
    by_id = {run.run_id: run for run in runs}
    reference = ray.put(shared)

    def start(run: Run, share: Slice, tries: int) -> "ray.ObjectRef[Any]":
        return work.options(**ray_options(share, tries)).remote(run, reference)

    queue = _Queue(runs, shared.sweep.resources.max_trials, shares, listener, start)
    # Not on the sweep's storage: what Tune keeps is of no use after it, and storage may fail for a while.
    with tempfile.TemporaryDirectory(prefix="glad-ray-tune-", ignore_cleanup_errors=True) as folder:
        tune.Tuner(
            tune.with_resources(_trial, _NO_SHARE),
            tune_config=tune.TuneConfig(
                search_alg=queue,
                num_samples=-1,
                # They keep nothing from others, and Tune starts none but those that the queue gives.
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="tune", storage_path=folder, callbacks=[_Callback(by_id, queue, listener)], verbose=0
            ),
        ).fit()


def _name(trial: Trial) -> str:
    return str(trial.config["run_id"])


@ray.remote(max_calls=0, max_retries=0)
def distil_task(run: Run, shared: "Shared") -> dict[str, Any]:
    """Distil a run; returns its `fault`, or None, and the last `step` it made."""
    from glad_ray.engine.distillation import distil

    return distil(run, shared)


def _trial(config: Mapping[str, Any]) -> None:
    """What a trial does, in a process of its own."""
    try:
        (result,) = ray.get(config["distillation"])
    except RayError as error:
        result = {"fault": Fault.of(error)._asdict(), "step": None}
    # With nothing of its own in it, Tune would print that a trial completed.
    tune.report(result | {"run_id": config["run_id"]})


class _Queue(Searcher):
    """Gives Tune the runs in their order, each as soon as it can start and there is room for it."""

    def __init__(
        self, runs: Sequence[Run], at_most: int | None, shares: Shares, listener: Listener, start: Start
    ) -> None:
        super().__init__(metric="step", mode="max")
        self._waiting = {run.run_id: run for run in runs}
        self._due: dict[str, float] = {}
        """when to try a run again, by its id"""
        self._tries: Counter[str] = Counter()
        self._had: dict[str, Slice] = {}
        self._under_way: set[str] = set()
        self._started: dict[str, ray.ObjectRef[Any]] = {}
        """distillations that no trial has told the end of, by their runs' ids"""
        self._at_most, self._shares, self._listener, self._start = at_most, shares, listener, start

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next run; None: none for now."""
        self._listener.poll()
        if self._listener.ending:
            self._waiting.clear()
        if len(self._under_way) >= self._room():
            return None
        for run in list(self._waiting.values()):
            if time.monotonic() < self._due.get(run.run_id, 0):
                continue
            startable = self._listener.startable(run)
            if startable is None:
                continue
            del self._waiting[run.run_id]
            if startable:
                self._under_way.add(trial_id)
                return self._config(run)
        # Tune ends with the first one that is finished.
        return None if self._waiting or self._under_way else cast("dict[str, Any]", Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has come to its end, whatever that was."""
        self._under_way.discard(trial_id)

    def told(self, run: Run) -> None:
        """The distillation has come to its end; until then, a trial in the place of one that was lost waits for it."""
        del self._started[run.run_id]

    def again(self, run: Run, fault: Fault) -> bool:
        """Take a run back after a fault that passes; false: it does not, or came too often."""
        tries = self._tries[run.run_id]
        passes = fault.kind == "infrastructure" and tries <= RETRIES and not self._listener.ending
        if not passes and not (
            fault.kind == "GPU memory" and self._shares.grow(Kind.of_trial(run), self._had[run.run_id])
        ):
            return False
        self._due[run.run_id] = time.monotonic() + pause_seconds(tries)
        self._waiting[run.run_id] = run
        return True

    def tries(self, run: Run) -> int:
        """How often a run was started."""
        return self._tries[run.run_id]

    def _config(self, run: Run) -> dict[str, Any]:
        if run.run_id not in self._started:
            self._had[run.run_id] = self._shares.of(Kind.of_trial(run))
            self._started[run.run_id] = self._start(run, self._had[run.run_id], self._tries[run.run_id])
        self._tries[run.run_id] += 1
        # In a list, which Tune does not look into.
        return {"run_id": run.run_id, "distillation": [self._started[run.run_id]]}

    def _room(self) -> int:
        room = self._listener.slots() + _AHEAD
        return room if self._at_most is None else min(room, self._at_most)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: what is done lies on storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles it beside its own state, which is never read: the driver's handles stay here.
        return {}


class _Callback(tune.Callback):
    """Tells the listener what Tune tells, in the words of runs."""

    def __init__(self, runs: Mapping[str, Run], queue: _Queue, listener: Listener) -> None:
        self.runs, self.queue, self.listener = runs, queue, listener

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It came to its end, by a fault perhaps."""
        fault, step = trial.last_result["fault"], trial.last_result["step"]
        self.queue.told(self._run(trial))
        if fault is None:
            self.listener.distilled(self._run(trial))
        else:
            self._faulted(trial, Fault(**fault), step)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost itself, or could not begin."""
        raised = trial.pickled_error_file
        lost = Fault(LOST, "", "infrastructure")
        self._faulted(trial, Fault.of(pickle.loads(Path(raised).read_bytes())) if raised else lost, None)

    def _faulted(self, trial: Trial, fault: Fault, step: int | None) -> None:
        run = self._run(trial)
        if self.queue.again(run, fault):
            self.listener.retried(run.label, fault.error)
        else:
            self.listener.faulted(run, fault.after(self.queue.tries(run)), step)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop has gone round."""
        self.listener.poll()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _run(self, trial: Trial) -> Run:
        return self.runs[trial.config["run_id"]]
