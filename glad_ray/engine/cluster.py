"""The engine on Ray: experts and evaluations as tasks, distillations as trials of Ray Tune, all from one thread.

Nothing waits while it holds a share: a trial ends when it has distilled, its evaluation queues without one, and the
driver, which submits it, has none.
"""

import pickle
import time
from collections import Counter, defaultdict
from functools import partial

import ray

from glad_ray.data import find_dataset
from glad_ray.engine.budget import Budget
from glad_ray.engine.connection import check_resources, connected
from glad_ray.engine.events import Ending, Retried, RunDistilled, RunFinished, ShareGivenBack, ShareTaken
from glad_ray.engine.fan_out import REAL, FanOut, Work
from glad_ray.engine.faults import Fault
from glad_ray.engine.packing import pack
from glad_ray.engine.preparation import decode_on_cluster
from glad_ray.engine.replica.watch import ReplicaWatch
from glad_ray.engine.shared import Shared, shared_generators, sharing
from glad_ray.engine.shares import Kind, Shares, slices_of
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.trials import run_trials
from glad_ray.engine.units import (
    Left,
    Stage,
    check_generators,
    check_networks,
    fault_of_networks,
    first_fault,
    left_of,
    raise_unless_recorded,
    record_failure,
    show_begun,
)
from glad_ray.engine.view import View
from glad_ray.errors import GladRayError
from glad_ray.plan import Plan, experts_needed
from glad_ray.results import clear_failure
from glad_ray.spec import ExpertSet, Network, Resources, Run
from glad_ray.storage import Storage

_POLL_SECONDS = 0.25
_CLUSTER_SECONDS = 2.0


def run_on_ray(plan: Plan, storage: Storage, *, address: str | None, view: View, work: Work = REAL) -> str | None:
    """Run what is left of a plan on a cluster; a run that fails is recorded, and the others go on.

    Returns the budget that ended it before all was done, in words; None: none did. `address` is `auto` or host:port;
    None: a cluster of this machine alone. Raises `UserError` before anything is started if data is not there, or the
    cluster, or what a unit of work asks of it, or some network cannot be built; `RunError` if experts fail that are
    those of no run.
    """
    budget = Budget(plan.sweep.resources)
    left = left_of(plan, storage)
    show_begun(plan, left, storage, view)
    if not (left.to_distill or left.to_evaluate or left.expert_sets):
        return None
    check_networks(plan, left)
    for key in left.data:
        find_dataset(key.dataset)
    resources = plan.sweep.resources
    on_gpus = any(each.gpus for each in left.trial_slices(resources))
    shared_on, own_on = (
        "cuda" if gpus and not resources.logical_gpus else "cpu"
        for gpus in (resources.generator_gpus or on_gpus, on_gpus)
    )
    files = check_generators(left, shared_on=shared_on, own_on=own_on)
    with connected(address):
        replicas = len(shared_generators(left, resources)) * resources.generator_replicas
        check_resources(resources, left.units(plan.sweep), generators=replicas)
        shares = Shares(resources, _most_gpus(resources, replicas))
        # The object store holds the only copy: a driver that kept another would double it.
        data = {key: ray.put(key.load(view, partial(decode_on_cluster, view))) for key in left.data}
        with sharing(plan.sweep, left, storage, data, files) as shared:
            return _Driver(shared, shares, budget, view, work).run(left)


class _Driver:
    """Submits what is left, in its order, and takes what comes back."""

    def __init__(self, shared: Shared, shares: Shares, budget: Budget, view: View, work: Work) -> None:
        self.shared, self.budget, self.view, self.work = shared, budget, view, work
        self.ending = False
        self._watch_budget()
        self._tasks = Tasks(self.retried)
        self._shares = shares
        self._fan_out = FanOut(self._tasks, shared, shares, budget, work)
        self._experts_left: Counter[ExpertSet] = Counter()
        self._expert_faults: dict[ExpertSet, Fault] = {}
        self._networks_left: Counter[str] = Counter()
        self._evaluation_faults: defaultdict[str, list[tuple[Network, Fault]]] = defaultdict(list)
        self._events = shared.events.take.remote(self.ending)
        self._replicas = ReplicaWatch(shared.replica_names, shared.storage, view.show)
        self._polled = self._counted = 0.0
        self._slots = 0
        self._settled: set[str] = set()
        """ids of runs that are finished, or failed"""
        self._to_distill: tuple[Run, ...] = ()
        self._to_evaluate: list[Run] = []

    def run(self, left: Left) -> str | None:
        """Experts, and beside them the trials and evaluations that need none or have theirs; to the end of all, or of
        a budget, which is returned.
        """
        if self.ending:
            return self.budget.spent
        pack(left, self.shared, self._shares, self._tasks, self.view, self.work.measurement)
        for expert_set in left.expert_sets:
            ended = partial(self._expert_ended, expert_set)
            self._experts_left[expert_set] += self._fan_out.experts(expert_set, ended)
        for run in left.to_evaluate:
            clear_failure(self.shared.storage, run.run_id)
        self._to_evaluate = list(left.to_evaluate)
        self._evaluate_ready()
        if left.to_distill:
            self._to_distill = left.to_distill
            run_trials(left.to_distill, self.shared, self._shares, self, self.work.distillation)
        while len(self._tasks):
            self._take(_POLL_SECONDS)
        self._show(ray.get(self._events))
        self._show(ray.get(self.shared.events.take.remote(self.ending)))
        raise_unless_recorded(self.shared.sweep, self._expert_faults)
        unsettled = {run.run_id for run in (*left.to_distill, *left.to_evaluate)} - self._settled
        stopped = any(fault.kind == "stopped" for fault in self._expert_faults.values())
        return self.budget.spent if unsettled or stopped else None

    def startable(self, run: Run, distilled: bool = False) -> bool | None:
        """See `Listener`: whether its experts are trained; it fails with them."""
        fault = first_fault(run, self.shared.sweep, self._expert_faults, distilled)
        if fault is not None:
            self._failed(run, "experts", fault)
            return False
        waits = any(self._experts_left[each] for each in experts_needed(run, self.shared.sweep, distilled))
        return None if waits else True

    def slots(self) -> int:
        """See `Listener`."""
        if time.monotonic() - self._counted > _CLUSTER_SECONDS:
            needed = {self._shares.of(Kind.of_trial(run)) for run in self._to_distill}
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._slots = max(sum(slices_of(node, each) for node in nodes) for each in needed)
            self._counted = time.monotonic()
        return self._slots

    def distilled(self, run: Run) -> None:
        """See `Listener`."""
        self.view.show(RunDistilled(run))
        self._to_evaluate.append(run)
        self._evaluate_ready()

    def faulted(self, run: Run, fault: Fault, step: int | None) -> None:
        """See `Listener`."""
        if fault.kind == "infrastructure":
            self.budget.lost(("trial", run.run_id))
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
            self._events = self.shared.events.take.remote(self.ending)
        self._replicas.poll()
        self._watch_budget()

    def _watch_budget(self) -> None:
        if not self.ending and (spent := self.budget.spent):
            self.ending = True
            self.view.show(Ending(spent))

    def _show(self, events: list[bytes]) -> None:
        for event in map(pickle.loads, events):
            match event:
                case ShareTaken(unit, gpus):
                    self.budget.taken(unit, gpus)
                case ShareGivenBack(unit, gpus, seconds):
                    self.budget.given_back(unit, gpus, seconds)
                case _:
                    self.view.show(event)

    def _expert_ended(self, expert_set: ExpertSet, fault: Fault | None) -> None:
        self._experts_left[expert_set] -= 1
        if fault is not None:
            self._expert_faults.setdefault(expert_set, fault)
        self._evaluate_ready()

    def _evaluate_ready(self) -> None:
        """Evaluate those distilled before whose experts, if they need any, are there."""
        states = [(run, self.startable(run, distilled=True)) for run in self._to_evaluate]
        self._to_evaluate = [run for run, startable in states if startable is None]
        for run, startable in states:
            if startable:
                self._evaluate(run)

    def _evaluate(self, run: Run) -> None:
        self._networks_left[run.run_id] = self._fan_out.evaluation(run, partial(self._network_ended, run))

    def _network_ended(self, run: Run, network: Network, fault: Fault | None) -> None:
        """Write the rows of a run that has all its networks."""
        self._networks_left[run.run_id] -= 1
        if fault is not None:
            self._evaluation_faults[run.run_id].append((network, fault))
        if self._networks_left[run.run_id]:
            return
        if run.run_id in self._evaluation_faults:
            self._failed(run, "evaluate", fault_of_networks(self._evaluation_faults[run.run_id]))
            return
        self._tasks.here(f"results of {run.label}", partial(self._finish, run), partial(self._failed, run, "evaluate"))

    def _finish(self, run: Run) -> None:
        for evaluation in self.shared.sweep.evaluations:
            self.work.finish(self.shared.sweep.name, run, evaluation, self.shared.storage)
        self._settled.add(run.run_id)
        self.view.show(RunFinished(run))

    def _failed(self, run: Run, stage: Stage, fault: Fault, step: int | None = None) -> None:
        if fault.kind == "stopped" or (self.ending and fault.kind == "infrastructure"):
            return  # it goes on with the next command
        self._settled.add(run.run_id)
        what = f"record of the failure of {run.label}"
        record = partial(record_failure, run, stage, fault, self.shared.storage, self.view, step)
        self._tasks.here(what, record, partial(_unrecorded, what))


def _unrecorded(what: str, fault: Fault) -> None:
    raise GladRayError(f"The {what} could not be written: {fault.error}.")


def _most_gpus(resources: Resources, generators: int) -> float:
    """What a unit of work can be given of one GPU beside generators."""
    most = max(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"])
    return float(min(1.0, most - generators * resources.generator_gpus))
