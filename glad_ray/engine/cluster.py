"""The engine on Ray: experts and evaluations as tasks, distillations as trials of Ray Tune, all from one thread.

Nothing waits while it holds a share: a trial ends when it has distilled, its evaluation queues without one, and the
driver, which submits it, has none.
"""

import pickle
import time
from collections import Counter
from functools import partial

import ray

from glad_ray.data import find_dataset
from glad_ray.distill import Progress
from glad_ray.engine.connection import check_resources, connected
from glad_ray.engine.events import Retried, RunDistilled, RunFinished, RunProgressed
from glad_ray.engine.fan_out import FanOut
from glad_ray.engine.preparation import decode_on_cluster
from glad_ray.engine.shared import Shared, shared_generators, sharing
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.trials import run_trials
from glad_ray.engine.units import (
    Fault,
    Left,
    Stage,
    begun,
    check_generators,
    check_networks,
    first_fault,
    left_of,
    record_failure,
)
from glad_ray.engine.view import View
from glad_ray.evaluate import finish_run
from glad_ray.plan import Plan
from glad_ray.results import clear_failure
from glad_ray.spec import ExpertSet, Run
from glad_ray.storage import Storage

_POLL_SECONDS = 0.25


def run_on_ray(plan: Plan, storage: Storage, *, address: str | None, view: View) -> None:
    """Run what is left of a plan on a cluster; a run that fails is recorded, and the others go on.

    `address` is `auto` or host:port; None: a cluster of this machine alone. Raises `UserError` before anything is
    started if data is not there, or the cluster, or what a unit of work asks of it, or some network cannot be built.
    """
    left = left_of(plan, storage)
    view.show(begun(plan, left, storage))
    if not left.to_distill and not left.to_evaluate:
        return
    check_networks(plan, left)
    for key in left.data:
        find_dataset(key.dataset)
    resources = plan.sweep.resources
    trial_device = "cuda" if resources.trial_gpus else "cpu"
    files = check_generators(left, shared_on="cuda" if resources.generator_gpus else trial_device, own_on=trial_device)
    with connected(address):
        replicas = len(shared_generators(left, resources)) * resources.generator_replicas
        check_resources(resources, experts=bool(left.expert_sets), generators=replicas)
        # The object store holds the only copy: a driver that kept another would double it.
        data = {key: ray.put(key.load(view, partial(decode_on_cluster, view))) for key in left.data}
        with sharing(plan.sweep, left, storage, data, files) as shared:
            _Driver(shared, view).run(left)


class _Driver:
    """Submits what is left, in its order, and takes what comes back."""

    def __init__(self, shared: Shared, view: View) -> None:
        self.shared, self.view = shared, view
        self._tasks = Tasks(self.retried)
        self._fan_out = FanOut(self._tasks, shared)
        self._experts_left = 0
        self._expert_faults: dict[ExpertSet, Fault] = {}
        self._networks_left: Counter[str] = Counter()
        self._evaluation_faults: dict[str, Fault] = {}
        self._events = shared.events.take.remote()
        self._polled = 0.0

    def run(self, left: Left) -> None:
        """Experts first, then trials; evaluations beside them, and to their end."""
        for expert_set in left.expert_sets:
            self._experts_left += self._fan_out.experts(expert_set, partial(self._expert_ended, expert_set))
        while self._experts_left:
            self._take(_POLL_SECONDS)
        for run in left.to_evaluate:
            clear_failure(self.shared.storage, run.run_id)
            if self._has_experts(run, distilled=True):
                self._evaluate(run)
        run_trials([run for run in left.to_distill if self._has_experts(run)], self.shared, self)
        while len(self._tasks):
            self._take(_POLL_SECONDS)
        self._show(ray.get(self._events))
        self._show(ray.get(self.shared.events.take.remote()))

    def progressed(self, run: Run, progress: Progress) -> None:
        """See `Listener`."""
        self.view.show(RunProgressed(run, progress))

    def distilled(self, run: Run) -> None:
        """See `Listener`."""
        self.view.show(RunDistilled(run))
        self._evaluate(run)

    def faulted(self, run: Run, fault: Fault, step: int | None) -> None:
        """See `Listener`."""
        self._failed(run, "distill", fault, step)

    def retried(self, what: str, error: str) -> None:
        """See `Listener`."""
        self.view.show(Retried(what, error))

    def poll(self) -> None:
        """See `Listener`."""
        if time.monotonic() - self._polled > _POLL_SECONDS:
            self._take(0)
            self._polled = time.monotonic()

    def _take(self, timeout_seconds: float) -> None:
        """Take what has come back from tasks, and show the events they sent."""
        self._tasks.poll(timeout_seconds)
        # Never waited for: the queue may be on its way to another machine.
        ready, _ = ray.wait([self._events], timeout=0)
        if ready:
            self._show(ray.get(self._events))
            self._events = self.shared.events.take.remote()

    def _show(self, events: list[bytes]) -> None:
        for event in events:
            self.view.show(pickle.loads(event))

    def _expert_ended(self, expert_set: ExpertSet, fault: Fault | None) -> None:
        self._experts_left -= 1
        if fault is not None:
            self._expert_faults.setdefault(expert_set, fault)

    def _has_experts(self, run: Run, distilled: bool = False) -> bool:
        """Whether the experts that a run needs were trained; it fails with them."""
        fault = first_fault(run, self.shared.sweep, self._expert_faults, distilled)
        if fault is not None:
            self._failed(run, "experts", fault)
        return fault is None

    def _evaluate(self, run: Run) -> None:
        self._networks_left[run.run_id] = self._fan_out.evaluation(run, partial(self._network_ended, run))

    def _network_ended(self, run: Run, fault: Fault | None) -> None:
        """Write the rows of a run that has all its networks."""
        self._networks_left[run.run_id] -= 1
        if fault is not None:
            self._evaluation_faults.setdefault(run.run_id, fault)
        if self._networks_left[run.run_id]:
            return
        if run.run_id in self._evaluation_faults:
            self._failed(run, "evaluate", self._evaluation_faults[run.run_id])
            return
        try:
            for evaluation in self.shared.sweep.evaluations:
                finish_run(self.shared.sweep.name, run, evaluation, self.shared.storage)
        except Exception as error:
            self._failed(run, "evaluate", Fault.of(error))
        else:
            self.view.show(RunFinished(run))

    def _failed(self, run: Run, stage: Stage, fault: Fault, step: int | None = None) -> None:
        record_failure(run, stage, fault, self.shared.storage, self.view, step)
