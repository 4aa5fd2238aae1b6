"""A search on Ray: each way of a run to its next look is a trial of Ray Tune, each look a task per network."""

from functools import partial

from glad_ray.engine.budget import Budget
from glad_ray.engine.conductor import Cluster, Conductor, cluster_for
from glad_ray.engine.fan_out import REAL, Work
from glad_ray.engine.study import Stop, Study
from glad_ray.engine.trials import Leg
from glad_ray.engine.units import Left
from glad_ray.plan import Plan
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.results import Look
from glad_ray.spec import Network
from glad_ray.storage import Storage


def search_on_ray(
    study: Study, plan: Plan, left: Left, storage: Storage, *, address: str | None, view: View, work: Work = REAL
) -> str | None:
    """Look at all that a study wants looked at; `plan` and `left` have runs that need what any of its runs needs.

    Returns and raises what `run_on_ray` does.
    """
    budget = Budget(plan.sweep.resources)
    with cluster_for(left, plan.sweep, storage, address, view) as cluster:
        return _SearchConductor(study, plan, cluster, budget, view, work).run(left)


class _SearchConductor(Conductor):
    """Distils what a study names, and looks at it."""

    def __init__(self, study: Study, plan: Plan, cluster: Cluster, budget: Budget, view: View, work: Work) -> None:
        super().__init__(cluster, budget, view, work)
        self.study, self._plan = study, plan
        self._under_way: dict[str, Stop] = {}
        """by the names of their legs"""
        self._held: list[Stop] = []
        """whose experts are trained first"""

    def run(self, left: Left) -> str | None:
        """To the end of the study, or of a budget, which is returned."""
        if self.ending:
            return self.budget.spent
        self._pack(left)
        self._distil(left.to_distill)
        self._take_all()
        return None if self.study.finished else self.budget.spent

    def next(self) -> Leg | None:
        """See `Listener`: no more are drawn than there is room for, while some wait for their experts."""
        for held in list(self._held):
            if (startable := self._startable(held.run)) is not False:
                self._held.remove(held)
                if startable is True:
                    return self._leg(held)
                self.study.failed(held, startable)
        while len(self._held) < self.slots() and (stop := self.study.next()) is not None:
            experts = None if stop.run.expert_set is None else self._plan.covering(stop.run.expert_set)
            if experts is not None and experts.stored_id not in self._experts_left:
                self._train(experts)
            if self._startable(stop.run) is True:
                return self._leg(stop)
            self._held.append(stop)
        return None

    @property
    def exhausted(self) -> bool:
        """See `Listener`."""
        return self.study.finished

    def distilled(self, leg: Leg) -> None:
        """See `Listener`."""
        stop = self._under_way.pop(leg.name)
        looks: dict[str, Look | Fault] = {}
        for network in stop.evaluation.networks:
            ended = partial(self._looked, stop, looks, network)
            self._fan_out.look(stop.run, stop.step, stop.evaluation, network, ended)

    def faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        """See `Listener`."""
        if fault.kind == "infrastructure":
            self.budget.lost(("trial", leg.run.run_id))
        self._failed(self._under_way.pop(leg.name), fault)

    def _leg(self, stop: Stop) -> Leg:
        leg = Leg(stop.run, stop.step)
        self._under_way[leg.name] = stop
        return leg

    def _looked(self, stop: Stop, looks: dict[str, Look | Fault], network: Network, look: Look | Fault) -> None:
        looks[network.key] = look
        if len(looks) < len(stop.evaluation.networks):
            return
        faults = [each for each in looks.values() if isinstance(each, Fault)]
        if faults:
            self._failed(stop, next((fault for fault in faults if fault.kind == "stopped"), faults[0]))
        else:
            self.study.seen(stop, {key: each for key, each in looks.items() if isinstance(each, Look)})

    def _failed(self, stop: Stop, fault: Fault) -> None:
        if fault.kind == "stopped" or (self.ending and fault.kind == "infrastructure"):
            self.study.given_back(stop)
        else:
            self.study.failed(stop, fault)
