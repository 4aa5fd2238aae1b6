"""A sweep on Ray: experts and evaluations as tasks, distillations as trials of Ray Tune, all from one thread."""

from collections import Counter, defaultdict
from functools import partial

from glad_ray.engine.budget import Budget
from glad_ray.engine.conductor import Cluster, Conductor, cluster_for
from glad_ray.engine.fan_out import REAL, Work
from glad_ray.engine.trials import Leg
from glad_ray.engine.units import (
    Left,
    Stage,
    check_networks,
    fault_of_networks,
    left_of,
    raise_unless_recorded,
    record_failure,
    show_begun,
)
from glad_ray.errors import GladRayError
from glad_ray.plan import Plan
from glad_ray.progress.events import RunDistilled, RunFinished
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.results import clear_failure
from glad_ray.spec import ExpertSet, Network, Run
from glad_ray.storage import Storage


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
    with cluster_for(left, plan.sweep, storage, address, view) as cluster:
        return _SweepConductor(cluster, budget, view, work).run(left)


class _SweepConductor(Conductor):
    """Submits what is left of a sweep, in its order."""

    def __init__(self, cluster: Cluster, budget: Budget, view: View, work: Work) -> None:
        super().__init__(cluster, budget, view, work)
        self._networks_left: Counter[str] = Counter()
        self._evaluation_faults: defaultdict[str, list[tuple[Network, Fault]]] = defaultdict(list)
        self._settled: set[str] = set()
        """ids of runs that are finished, or failed"""
        self._to_distill: dict[str, Run] = {}
        self._awaiting: dict[str, Run] = {}
        """those that `next` passed over, for their experts are still trained"""
        self._to_evaluate: list[Run] = []
        self._order: tuple[str, ...] = ()
        """ids of the runs to distil"""

    def run(self, left: Left) -> str | None:
        """Experts, and beside them the trials and evaluations that need none or have theirs; to the end of all, or of
        a budget, which is returned.
        """
        if self.ending:
            return self.budget.spent
        self._pack(left)
        for expert_set in left.expert_sets:
            self._train(expert_set)
        for run in left.to_evaluate:
            clear_failure(self.shared.storage, run.run_id)
        self._to_evaluate = list(left.to_evaluate)
        self._evaluate_ready()
        if left.to_distill:
            self._to_distill = {run.run_id: run for run in left.to_distill}
            self._order = tuple(self._to_distill)
            self._distil(left.to_distill)
        self._take_all()
        raise_unless_recorded(self.shared.sweep, left.expert_sets, self._expert_faults)
        unsettled = {run.run_id for run in (*left.to_distill, *left.to_evaluate)} - self._settled
        stopped = any(fault.kind == "stopped" for fault in self._expert_faults.values())
        return self.budget.spent if unsettled or stopped else None

    def next(self) -> Leg | None:
        """See `Listener`: the first whose experts are trained; it fails with them."""
        for run in list(self._to_distill.values()):
            del self._to_distill[run.run_id]
            startable = self._startable(run)
            if startable is True:
                return Leg(run)
            if startable is False:
                self._awaiting[run.run_id] = run
            else:
                self._failed(run, "experts", startable)
        return None

    @property
    def exhausted(self) -> bool:
        """See `Listener`."""
        return not (self._to_distill or self._awaiting)

    def distilled(self, leg: Leg) -> None:
        """See `Listener`."""
        self.view.show(RunDistilled(leg.run))
        self._to_evaluate.append(leg.run)
        self._evaluate_ready()

    def faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        """See `Listener`."""
        if fault.kind == "infrastructure":
            self.budget.lost(("trial", leg.run.run_id))
        self._failed(leg.run, "distill", fault, step)

    def _expert_ended(self, expert_set: ExpertSet, fault: Fault | None) -> None:
        super()._expert_ended(expert_set, fault)
        if fault is not None or not self._experts_left[expert_set.stored_id]:
            # Asked again, in the plan's order.
            waiting, self._awaiting = self._awaiting | self._to_distill, {}
            self._to_distill = {run_id: waiting[run_id] for run_id in self._order if run_id in waiting}
        self._evaluate_ready()

    def _evaluate_ready(self) -> None:
        """Evaluate those distilled before whose experts, if they need any, are there."""
        states = [(run, self._startable(run, distilled=True)) for run in self._to_evaluate]
        self._to_evaluate = [run for run, startable in states if startable is False]
        for run, startable in states:
            if startable is True:
                self._evaluate(run)
            elif isinstance(startable, Fault):
                self._failed(run, "experts", startable)

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
