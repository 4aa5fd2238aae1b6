"""Distillations as trials of Ray Tune: each in a process of its own that holds the run's share, passed on to the next.

A trial reports its step, loss and seconds, and ends as soon as the run's set is written: then its share is free, for
another trial or for whatever waits. A fault of the run itself is a result. One of infrastructure, or a process that is
lost, ends the trial with an error, and the scheduler submits the job again: what is done lies on storage, not in Tune's
state, which nobody reads.

Nothing here imports PyTorch.
"""

import pickle
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher, SearchGenerator
from typing_extensions import override

from glad_ray.engine.jobs import DistillationJob, Ended, Outcome
from glad_ray.engine.on_ray.trials import Trials
from glad_ray.progress.events import RunProgressed
from glad_ray.progress.faults import LOST, Fault
from glad_ray.progress.view import in_notebook
from glad_ray.results import Progress

if TYPE_CHECKING:
    from glad_ray.distillation import Steps

# Tune hands the driver's credentials to trials in a way that Ray writes into its logs; these here need none.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(
    {name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")}
)


class DistillationTrial(tune.Trainable):
    """A run's distillation, some seconds of it with every call of `train`."""

    _job: DistillationJob | None = None
    _steps: "Steps"
    _last: Progress | None
    _report_seconds: float

    @classmethod
    @override
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([dict(config["bundle"])])

    @override
    def setup(self, config: dict[str, Any]) -> None:
        self._distil, self._context = ray.get(config["work"])
        self._begin(config)

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with another run, in the same process."""
        self._begin(new_config)
        return True

    @override
    def step(self) -> dict[str, Any]:
        ends = time.monotonic() + self._report_seconds
        losses: list[float] = []
        ending = self._last is not None and self._context.is_ending()
        try:
            while True:
                # The first one is told at once.
                first = self._last is None
                self._last = self._steps.send(None if first else ending)
                losses.append(self._last.loss)
                if first or time.monotonic() >= ends:
                    return asdict(self._last) | {"losses": losses, "done": False}
        except StopIteration:
            return self._result(None, losses)
        except Exception as error:
            fault = Fault.of(error)
            if fault.kind == "infrastructure":
                # Its process is not passed on.
                raise
            return self._result(fault, losses)

    @override
    def cleanup(self) -> None:
        if self._job is not None:
            self._steps.close()

    def _begin(self, config: Mapping[str, Any]) -> None:
        (job,), self._report_seconds = config["job"], config["report_seconds"]
        self._job, self._last = job, None
        self._steps = self._distil(job, self._context)

    def _result(self, fault: Fault | None, losses: list[float]) -> dict[str, Any]:
        last = {"step": None} if self._last is None else asdict(self._last)
        return last | {"losses": losses, "done": True, "fault": None if fault is None else fault._asdict()}

    def __repr__(self) -> str:
        # Ray asks for it too where the process could not be set up, whose error it would tell otherwise.
        return type(self).__name__ if self._job is None else self._job.label


def run_in_tune(trials: Trials, turn: Callable[[], object], callbacks: Sequence[tune.Callback]) -> None:
    """Run `trials` to the end of the last one; see `Trials.run`. `callbacks` are told beside our own."""
    # Not on the sweep's storage: what Tune keeps is of no use after it, and storage may fail for a while.
    with tempfile.TemporaryDirectory(prefix="glad-ray-tune-", ignore_cleanup_errors=True) as folder:
        callback = _Callback(trials, turn)
        tune.Tuner(
            DistillationTrial,
            tune_config=tune.TuneConfig(
                search_alg=_Submitted(_Configurations(trials)),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=folder,
                # Its own checkpoint is a distillation's, on the sweep's storage.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[callback, *callbacks],
                verbose=0,
                # In a notebook Tune's own clears the cell that shows ours; elsewhere `verbose` makes it silent.
                progress_reporter=tune.CLIReporter() if in_notebook() else None,
            ),
        ).fit()
        callback.raise_error()


def _name(trial: Trial) -> str:
    return str(trial.config["name"])


class _Submitted(SearchGenerator):
    """Gives Tune what was submitted. While there is nothing, Tune is told that there will be nothing more: so it keeps
    no process of a trial that has ended, whose share would lie idle, and its loop ends with the last trial.
    """

    searcher: "_Configurations"

    @override
    def is_finished(self) -> bool:
        return not self.searcher.trials.submitted


class _Configurations(Searcher):
    def __init__(self, trials: Trials) -> None:
        super().__init__(metric="step", mode="max")
        self.trials = trials

    @override
    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        return self.trials.next_config(trial_id) if self.trials.submitted else None

    @override
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Our callback is told more."""

    @override
    def save(self, checkpoint_path: str) -> None:
        """Nothing: what is done lies on storage."""

    @override
    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles it beside its own state, which is never read: the driver's handles stay here.
        return {}


class _Callback(tune.Callback):
    """Notes what Tune tells of trials, and has the scheduler take its turn."""

    def __init__(self, trials: Trials, turn: Callable[[], object]) -> None:
        self._trials, self._turn = trials, turn
        self._error: Exception | None = None

    @override
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._trials.first_process = None
        self._trials.starting.pop(trial.trial_id, None)

    @override
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if result["step"] is not None:
            progress = Progress(*(result[each.name] for each in fields(Progress)))
            run = self._trials.under_way[trial.trial_id].run
            self._trials.told.append(RunProgressed(run, progress, tuple(result["losses"])))

    @override
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        fault = trial.last_result["fault"]
        self._ended(trial, None if fault is None else Fault(**fault))

    @override
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        raised = trial.pickled_error_file
        lost = Fault(LOST, "", "infrastructure")
        self._ended(trial, Fault.of(pickle.loads(Path(raised).read_bytes())) if raised else lost)

    @override
    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.raise_error()
        self._turn()

    def raise_error(self) -> None:
        """Raise what the scheduler raised in a call from which Tune would let nothing through."""
        if self._error is not None:
            raise self._error

    def _ended(self, trial: Trial, fault: Fault | None) -> None:
        """A trial has ended; what follows from that is known before Tune decides whether to keep its process."""
        job = self._trials.under_way.pop(trial.trial_id)
        self._trials.starting.pop(trial.trial_id, None)
        self._trials.told.append(Ended(job, Outcome(fault=fault, step=trial.last_result.get("step"))))
        try:
            self._turn()
        except Exception as error:
            self._error = error

    def __getstate__(self) -> dict[str, Any]:
        return {}
