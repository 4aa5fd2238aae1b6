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
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table

from glad_ray.engine.first_process import FirstProcess
from glad_ray.engine.node_actors import alive_nodes
from glad_ray.engine.shares import Kind, Shares, ray_options
from glad_ray.progress.faults import LOST, Fault, Tries, pause_seconds
from glad_ray.progress.view import View
from glad_ray.spec import Run, Slice

if TYPE_CHECKING:
    from glad_ray.engine.shared import Shared

_PLACED_SECONDS = 1.0
_NO_SHARE: dict[str, float] = {"memory": 1}
"""a byte: Tune wants some resource of every trial"""
TRIALS_AHEAD = 2
"""trials whose tasks wait for a share, so that one that comes free is taken at once"""
# Tune hands the driver's credentials to trials in a way that Ray writes into its logs; these here need none.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(
    {name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")}
)


class Leg(NamedTuple):
    """A run to be distilled, to its end or to a step at which a search looks at it."""

    run: Run
    until: int | None = None

    @property
    def name(self) -> str:
        """The run's id, and the step."""
        return self.run.run_id if self.until is None else f"{self.run.run_id}-{self.until}"


class _Place(tune.PlacementGroupFactory):
    """The process of a trial: on the machine that has the fewest of them for its CPUs.

    Ray by itself takes the one with most free memory, for all of them. To Tune they are alike, so a process whose trial
    has ended takes any other.
    """

    def __init__(self) -> None:
        super().__init__([_NO_SHARE], strategy="STRICT_PACK")

    def to_placement_group(self) -> PlacementGroup:
        """Called for each process."""
        cpus = {node["NodeID"]: node["Resources"].get("CPU", 0) for node in alive_nodes()}
        groups = [group for group in placement_group_table().values() if group["bundles"] == {0: _NO_SHARE}]
        on = Counter(group["bundles_to_node_id"].get(0) for group in groups if group["state"] != "REMOVED")
        machines = [machine for machine in cpus if cpus[machine]]
        machine = min(machines, key=lambda each: on[each] / cpus[each], default=None)
        made = placement_group([_NO_SHARE], strategy=self.strategy, _soft_target_node_id=machine)
        # The next one looks where this one is.
        made.wait(_PLACED_SECONDS)
        return made


Start = Callable[[Leg, Slice, int], "ray.ObjectRef[Any]"]
"""Submits a distillation with a share, after so many tries before, since it made progress."""


class Listener(Protocol):
    """Who knows what trials there are and is told how they get on, in the driver's thread."""

    def next(self) -> Leg | None:
        """What is to be distilled next and can start; None: nothing for now."""

    @property
    def exhausted(self) -> bool:
        """Whether `next` has nothing more, ever."""

    def slots(self) -> int:
        """How many trials the cluster has room for at once."""

    @property
    def ending(self) -> bool:
        """Whether nothing new is to be started."""

    def furthest(self, leg: Leg) -> int:
        """The last step that its run is known to have made."""

    def distilled(self, leg: Leg) -> None:
        """The synthetic set is on storage."""

    def faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        """A distillation ended by a fault, its own or one of infrastructure that came too often."""

    @property
    def view(self) -> View:
        """Shows events."""

    def retried(self, what: str, error: str) -> None:
        """A trial met a fault that passes and is tried again."""

    def poll(self) -> None:
        """Nothing happened, or something did: called many times a second."""


def run_trials(shared: "Shared", shares: Shares, listener: Listener, work: Any) -> None:
    """Distil what the listener gives, by the task `work` (see `distil_task`), as much at once as there are shares."""
    reference = ray.put(shared)

    def start(leg: Leg, share: Slice, tries: int) -> "ray.ObjectRef[Any]":
        return work.options(**ray_options(share, tries)).remote(leg.run, leg.until, reference)

    queue = TrialQueue(shared.sweep.resources.max_trials, shares, listener, start)
    # Not on the sweep's storage: what Tune keeps is of no use after it, and storage may fail for a while.
    with tempfile.TemporaryDirectory(prefix="glad-ray-tune-", ignore_cleanup_errors=True) as folder:
        tune.Tuner(
            tune.with_resources(_trial, _Place()),
            tune_config=tune.TuneConfig(
                search_alg=queue,
                num_samples=-1,
                # They keep nothing from others, and Tune starts none but those that the queue gives.
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="tune", storage_path=folder, callbacks=[_Callback(queue, listener)], verbose=0
            ),
        ).fit()


def _name(trial: Trial) -> str:
    return str(trial.config["name"])


@ray.remote(max_calls=0, max_retries=0)
def distil_task(run: Run, until: int | None, shared: "Shared") -> dict[str, Any]:
    """Distil a run, to a step or its end; returns its `fault`, or None, and the last `step` it made."""
    from glad_ray.engine.distillation import distil

    return distil(run, until, shared)


def _trial(config: Mapping[str, Any]) -> None:
    """What a trial does, in a process of its own."""
    try:
        (result,) = ray.get(config["distillation"])
    except RayError as error:
        result = {"fault": Fault.of(error)._asdict(), "step": None}
    # With nothing of its own in it, Tune would print that a trial completed.
    tune.report(result | {"name": config["name"]})


class TrialQueue(Searcher):
    """Gives Tune what the listener has, each as soon as it can start and there is room for it."""

    def __init__(self, at_most: int | None, shares: Shares, listener: Listener, start: Start) -> None:
        super().__init__(metric="step", mode="max")
        self.legs: dict[str, Leg] = {}
        """under way, or to be tried again, by name"""
        self._due: dict[str, float] = {}
        """when to try one again"""
        self._tries: dict[str, Tries] = {}
        self._had: dict[str, Slice] = {}
        self._under_way: set[str] = set()
        self._started: dict[str, ray.ObjectRef[Any]] = {}
        """distillations that no trial has told the end of"""
        self._at_most, self._shares, self._listener, self._start = at_most, shares, listener, start

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next one; None: none for now."""
        self._listener.poll()
        if self._listener.ending:
            self._due.clear()
        if len(self._under_way) >= self._room():
            return None
        leg = self._due_again()
        if leg is None and not self._listener.ending:
            leg = self._listener.next()
        if leg is not None:
            self._under_way.add(trial_id)
            return self.trial_config(leg)
        # Tune ends with the first one that is finished.
        left = self._under_way or self._due or not (self._listener.ending or self._listener.exhausted)
        return None if left else cast("dict[str, Any]", Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has come to its end, whatever that was."""
        self._under_way.discard(trial_id)

    def told(self, leg: Leg) -> None:
        """The distillation has come to its end; until then, a trial in the place of one that was lost waits for it."""
        del self._started[leg.name]

    def again(self, leg: Leg, fault: Fault) -> bool:
        """Take one back after a fault that passes; false: it does not, or came too often."""
        tries = self._tries[leg.name]
        passes = tries.passed(fault) and not self._listener.ending
        if not passes and not (
            fault.kind == "GPU memory" and self._shares.grow(Kind.of_trial(leg.run), self._had[leg.name])
        ):
            return False
        self._due[leg.name] = time.monotonic() + pause_seconds(tries.number)
        return True

    def ended(self, leg: Leg) -> int:
        """Forget one that is not tried again; returns how often it was tried, since it made progress."""
        del self.legs[leg.name], self._had[leg.name]
        self._started.pop(leg.name, None)
        return self._tries.pop(leg.name).number

    def _due_again(self) -> Leg | None:
        now = time.monotonic()
        for name, due in self._due.items():
            if due <= now:
                del self._due[name]
                return self.legs[name]
        return None

    def trial_config(self, leg: Leg) -> dict[str, Any]:
        """What Tune is told of a trial that makes a run's next steps."""
        self.legs[leg.name] = leg
        tries = self._tries.setdefault(leg.name, Tries(partial(self._listener.furthest, leg)))
        if leg.name not in self._started:
            self._had[leg.name] = self._shares.of(Kind.of_trial(leg.run))
            self._started[leg.name] = self._start(leg, self._had[leg.name], tries.number)
        tries.begun()
        # In a list, which Tune does not look into.
        return {"name": leg.name, "distillation": [self._started[leg.name]]}

    def _room(self) -> int:
        room = self._listener.slots() + TRIALS_AHEAD
        return room if self._at_most is None else min(room, self._at_most)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: what is done lies on storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles it beside its own state, which is never read: the driver's handles stay here.
        return {}


class _Callback(tune.Callback):
    """Tells the listener what Tune tells."""

    def __init__(self, queue: TrialQueue, listener: Listener) -> None:
        self.queue, self.listener = queue, listener
        self._awaited: FirstProcess | None = FirstProcess("the first process of a trial", listener.view)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Its process is there."""
        self._awaited = None

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It came to its end, by a fault perhaps."""
        fault, step, leg = trial.last_result["fault"], trial.last_result["step"], self._leg(trial)
        self.queue.told(leg)
        if fault is None:
            self.queue.ended(leg)
            self.listener.distilled(leg)
        else:
            self._faulted(leg, Fault(**fault), step)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It was lost itself, or could not begin."""
        raised = trial.pickled_error_file
        lost = Fault(LOST, "", "infrastructure")
        fault = Fault.of(pickle.loads(Path(raised).read_bytes())) if raised else lost
        self._faulted(self._leg(trial), fault, None)

    def _faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        if self.queue.again(leg, fault):
            self.listener.retried(leg.run.label, fault.error)
        else:
            self.listener.faulted(leg, fault.after(self.queue.ended(leg)), step)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune's loop has gone round."""
        self.listener.poll()
        if trials and self._awaited is not None:
            self._awaited.check()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _leg(self, trial: Trial) -> Leg:
        return self.queue.legs[trial.config["name"]]
