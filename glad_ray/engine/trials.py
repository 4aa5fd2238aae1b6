"""Distillations as trials of Ray Tune, one a run: given to Tune in order as they can start, and again if they are lost.

A trial holds no share: it submits the distillation as a task, which has one for as long as it computes, in a process
that goes on to the next one: neither imports nor a trial that has distilled keep a share from others. Its own fault is
a result and ends it normally, so that Tune repeats only what was lost with a process or machine. What is done lies on
storage, not in Tune's state: a trial started again resumes from the run's own checkpoint.

Nothing here imports PyTorch, which the processes of trials go without.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from glad_ray.engine.shares import ray_options
from glad_ray.engine.tasks import LOST, RETRIES
from glad_ray.spec import Resources, Run
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.engine.shared import Shared

_AHEAD = 2
"""trials whose tasks wait for a share, so that one that comes free is taken at once"""
# Tune wants some resource of every trial: a byte of memory.
_NO_SHARE: dict[str, float] = {"cpu": 0, "memory": 1}


class Listener(Protocol):
    """Who knows what trials need and is told how they get on, in the driver's thread."""

    def startable(self, run: Run) -> bool | None:
        """Whether a run can start; None: not yet. False is asked for once: the run has been dealt with."""

    def slots(self) -> int:
        """How many trials the cluster has room for at once."""

    def distilled(self, run: Run) -> None:
        """A run's synthetic set is on storage."""

    def faulted(self, run: Run, fault: Mapping[str, str], step: int | None) -> None:
        """A run ended by a fault (`error` and `traceback`), its own or that of what it ran on."""

    def retried(self, what: str, error: str) -> None:
        """A trial was lost and starts again."""

    def poll(self) -> None:
        """Nothing happened, or something did: called many times a second."""


def run_trials(runs: Sequence[Run], shared: "Shared", listener: Listener, work: Any) -> None:
    """Distil runs in their order by the task `work` (see `distil_task`), as many at once as there are shares."""
    by_id = {run.run_id: run for run in runs}
    resources = shared.sweep.resources
    queue = _Queue(runs, resources.max_trials, listener)
    reference = [ray.put(shared)]  # in a list, which Tune does not look into
    shared.storage.delete(Storage.TUNE)
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_trial, runs=by_id, resources=resources, work=work, shared=reference), _NO_SHARE
        ),
        tune_config=tune.TuneConfig(
            search_alg=queue,
            num_samples=-1,
            # They keep nothing from others, and Tune starts none but those that the queue gives.
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=Storage.TUNE,
            storage_path=shared.storage.uri,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[_Callback(by_id, queue, listener)],
            verbose=0,
        ),
    ).fit()


def _name(trial: Trial) -> str:
    return str(trial.config["run_id"])


@ray.remote(max_calls=0, max_retries=0, scheduling_strategy="DEFAULT")
def distil_task(run: Run, shared: "Shared") -> dict[str, Any]:
    """Distil a run; returns its `fault`, or None, and the last `step` it made."""
    from glad_ray.engine.distillation import distil

    return distil(run, shared)


def _trial(
    config: Mapping[str, str],
    *,
    runs: Mapping[str, Run],
    resources: Resources,
    work: Any,
    shared: list[ray.ObjectRef[Any]],
) -> None:
    """What a trial does, in a process of its own."""
    run = runs[config["run_id"]]
    needed = resources.slice_of("trial", run.algorithm.name)
    tune.report(ray.get(work.options(**ray_options(needed)).remote(run, *shared)))


class _Queue(Searcher):
    """Gives Tune the runs in their order, each as soon as it can start and there is room for it."""

    def __init__(self, runs: Sequence[Run], at_most: int | None, listener: Listener) -> None:
        super().__init__(metric="step", mode="max")
        self._waiting = {run.run_id: run for run in runs}
        self._under_way: set[str] = set()
        self._losses: Counter[str] = Counter()
        self._at_most, self._listener = at_most, listener

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next run; None: none for now."""
        self._listener.poll()
        if len(self._under_way) >= self._room():
            return None
        for run in list(self._waiting.values()):
            startable = self._listener.startable(run)
            if startable is None:
                continue
            del self._waiting[run.run_id]
            if startable:
                self._under_way.add(trial_id)
                return {"run_id": run.run_id}
        # Tune ends with the first one that is finished.
        return None if self._waiting or self._under_way else cast("dict[str, Any]", Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has come to its end, whatever that was."""
        self._under_way.discard(trial_id)

    def again(self, run: Run) -> bool:
        """Take a run back whose trial was lost before it ran, which Tune does not repeat; False: too often."""
        self._losses[run.run_id] += 1
        if self._losses[run.run_id] > RETRIES:
            return False
        self._waiting[run.run_id] = run
        return True

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
        """It came to its end, by a fault of its own perhaps."""
        fault, step = trial.last_result["fault"], trial.last_result["step"]
        if fault is None:
            self.listener.distilled(self._run(trial))
        else:
            self.listener.faulted(self._run(trial), fault, step)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost and starts again."""
        self.listener.retried(self._run(trial).label, LOST)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost for good, or before it ran."""
        log = Path(trial.error_file).read_text() if trial.error_file else ""
        if trial.num_failures <= RETRIES and self.queue.again(self._run(trial)):
            self.listener.retried(self._run(trial).label, LOST)
        else:
            self.listener.faulted(self._run(trial), {"error": f"{LOST}, {RETRIES + 1} times", "traceback": log}, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop has gone round."""
        self.listener.poll()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _run(self, trial: Trial) -> Run:
        return self.runs[trial.config["run_id"]]
