"""Distillations as trials of Ray Tune, one a run: Tune starts them in order as shares come free, and again if lost.

A trial distils and nothing else, so that it gives its share back once it has. Its own fault is a result and ends it
normally, so that Tune repeats only what was lost with a process or machine. What is done lies on storage, not in
Tune's state: a trial started again resumes from the run's own checkpoint.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from ray import tune
from ray.exceptions import RayError
from ray.tune.experiment import Trial

from glad_ray.distill import Progress, build_space, distill
from glad_ray.engine.connection import share
from glad_ray.engine.shared import Shared
from glad_ray.engine.tasks import LOST, RETRIES
from glad_ray.engine.units import Fault
from glad_ray.results import clear_failure
from glad_ray.spec import Run
from glad_ray.storage import Storage

_REPORT_SECONDS = 2.0  # every report costs the driver some time and memory


class Listener(Protocol):
    """Who is told how trials get on, in the driver's thread."""

    def progressed(self, run: Run, progress: Progress) -> None:
        """A run has made some steps."""

    def distilled(self, run: Run) -> None:
        """A run's synthetic set is on storage."""

    def faulted(self, run: Run, fault: Fault, step: int | None) -> None:
        """A run ended by a fault, its own or that of what it ran on."""

    def retried(self, what: str, error: str) -> None:
        """A trial was lost and starts again."""

    def poll(self) -> None:
        """Nothing happened, or something did: called many times a second."""


def run_trials(runs: Sequence[Run], shared: Shared, listener: Listener) -> None:
    """Distil runs in their order, as many at once as there are shares."""
    faults: dict[str, Fault] = {}
    for _ in range(1 + RETRIES):
        if runs:
            faults = _fit(runs, shared, listener)
            runs = [run for run in runs if run.run_id in faults]
    for run in runs:
        listener.faulted(run, faults[run.run_id], None)


def _fit(runs: Sequence[Run], shared: Shared, listener: Listener) -> dict[str, Fault]:
    """Run trials to their end; returns what became of those that were lost before they ran: Tune retries no such."""
    by_id = {run.run_id: run for run in runs}
    callback = _Callback(by_id, listener)
    resources = shared.sweep.resources
    shared.storage.delete(Storage.TUNE)
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_trial, runs=by_id, shared=shared),
            {"cpu": resources.trial_cpus, "gpu": resources.trial_gpus},
        ),
        param_space={"run_id": tune.grid_search(list(by_id))},
        # An actor kept for reuse would keep its share from the evaluations of earlier runs, too.
        tune_config=tune.TuneConfig(reuse_actors=False, trial_name_creator=_name, trial_dirname_creator=_name),
        run_config=tune.RunConfig(
            name=Storage.TUNE,
            storage_path=shared.storage.uri,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[callback],
            verbose=0,
        ),
    ).fit()
    return callback.never_ran


def _name(trial: Trial) -> str:
    return str(trial.config["run_id"])


def _trial(config: Mapping[str, str], *, runs: Mapping[str, Run], shared: Shared) -> None:
    """What a trial does, in a process of its own."""
    run = runs[config["run_id"]]
    step, reported = None, time.monotonic()

    def progressed(progress: Progress) -> None:
        nonlocal step, reported
        step = progress.step
        if time.monotonic() - reported > _REPORT_SECONDS:
            tune.report(asdict(progress))
            reported = time.monotonic()

    resources = shared.sweep.resources
    try:
        clear_failure(shared.storage, run.run_id)
        with share(resources.trial_cpus, resources.trial_gpus) as device:
            dataset = shared.dataset(run)
            distill(
                run,
                space=build_space(run, dataset, shared.generator(run, device), torch.device(device)),
                dataset=dataset,
                trajectories=shared.trajectories(run.expert_set),
                storage=shared.storage,
                device=device,
                on_progress=progressed,
            )
    except RayError:
        raise
    except Exception as error:
        tune.report({"fault": Fault.of(error)._asdict(), "step": step})
    else:
        tune.report({"step": run.steps})


class _Callback(tune.Callback):
    """Tells the listener what Tune tells, in the words of runs."""

    def __init__(self, runs: Mapping[str, Run], listener: Listener) -> None:
        self.runs, self.listener = runs, listener
        self.never_ran: dict[str, Fault] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A report of progress, or the last one."""
        if "loss" in result:
            progress = Progress(result["step"], result["steps"], result["loss"], result["seconds"])
            self.listener.progressed(self._run(trial), progress)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It came to its end, by a fault of its own perhaps."""
        fault = trial.last_result.get("fault")
        if fault is None:
            self.listener.distilled(self._run(trial))
        else:
            self.listener.faulted(self._run(trial), Fault(**fault), trial.last_result["step"])

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost and starts again."""
        self.listener.retried(self._run(trial).label, LOST)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost for good."""
        log = Path(trial.error_file).read_text() if trial.error_file else ""
        if trial.num_failures > RETRIES:
            self.listener.faulted(self._run(trial), Fault(f"{LOST}, {trial.num_failures} times", log), None)
        else:
            self.listener.retried(self._run(trial).label, LOST)
            self.never_ran[trial.config["run_id"]] = Fault(LOST, log)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop has gone round."""
        self.listener.poll()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles it beside its own state, which is never read: the driver's handles stay here.
        return {}

    def _run(self, trial: Trial) -> Run:
        return self.runs[trial.config["run_id"]]
