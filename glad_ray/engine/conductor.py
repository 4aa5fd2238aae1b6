"""What drives work on a cluster, from one thread: connects, starts what is shared, submits, and takes what comes back.

Nothing waits while it holds a share: a trial ends when it has distilled, what follows queues without one, and the
driver, which submits it, has none.
"""

import contextlib
import pickle
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import ray

from glad_ray.data import find_dataset
from glad_ray.engine.budget import Budget
from glad_ray.engine.connection import check_resources, connected, node_types
from glad_ray.engine.fan_out import FanOut, Work
from glad_ray.engine.first_process import check_first_process
from glad_ray.engine.node_actors import NodeActors, alive_nodes
from glad_ray.engine.packing import pack
from glad_ray.engine.preparation import decode_on_cluster
from glad_ray.engine.replica.watch import ReplicaWatch
from glad_ray.engine.shared import Shared, sharing
from glad_ray.engine.shares import Kind, Shares
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.trials import Leg, run_trials
from glad_ray.engine.units import Left, check_generators, first_fault
from glad_ray.plan import experts_needed
from glad_ray.plan.machines import NodeType, held_gpus, slices_of
from glad_ray.progress.events import (
    ClusterJoined,
    Ending,
    Event,
    Retried,
    RunProgressed,
    ShareGivenBack,
    ShareTaken,
    TrainingDone,
)
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.spec import ExpertSet, Run, Sweep
from glad_ray.storage import Storage

_POLL_SECONDS = 0.25
_CLUSTER_SECONDS = 2.0


class Cluster(NamedTuple):
    """What a conductor has of a cluster."""

    shared: Shared
    shares: Shares
    actors: NodeActors
    types: tuple[NodeType, ...]
    """of machines that an autoscaler may start; none: it stays as it is, for all that is known"""


@contextlib.contextmanager
def cluster_for(left: Left, sweep: Sweep, storage: Storage, address: str | None, view: View) -> Iterator[Cluster]:
    """A cluster with all that units of work share: images, generators, experts. `address` is `auto` or host:port; None:
    a cluster of this machine alone.

    Raises `UserError` before anything is started if data is not there, or the cluster, or what a unit of work asks of
    it.
    """
    for key in left.data:
        find_dataset(key.dataset)
    resources = sweep.resources
    on_gpus = any(each.gpus for each in left.trial_slices(resources))
    shared_on, own_on = (
        "cuda" if gpus and not resources.logical_gpus else "cpu"
        for gpus in (resources.generator_gpus or on_gpus, on_gpus)
    )
    files = check_generators(left, shared_on=shared_on, own_on=own_on)
    with connected(address) as joined:
        if joined is not None:
            has = ray.cluster_resources()
            view.show(ClusterJoined(joined, len(alive_nodes()), has.get("CPU", 0), has.get("GPU", 0)))
        check_first_process(view)
        held, types = held_gpus(left.to_distill, resources), node_types(joined)
        check_resources(resources, left.units(sweep), types, held=held)
        shares = Shares(resources, _most_gpus(held, types))
        # The object store holds the only copy: a driver that kept another would double it.
        data = {key: ray.put(key.load(view, partial(decode_on_cluster, view))) for key in left.data}
        with sharing(sweep, left, storage, data, files) as (shared, actors):
            yield Cluster(shared, shares, actors, types)


class Conductor(ABC):
    """Submits units of work, and takes what comes back; what they are is said by its kinds."""

    def __init__(self, cluster: Cluster, budget: Budget, view: View, work: Work) -> None:
        self.shared, self.budget, self.view, self.work = cluster.shared, budget, view, work
        self.ending = False
        self._watch_budget()
        self._tasks = Tasks(self.retried)
        self._shares, self._actors, self._types = cluster.shares, cluster.actors, cluster.types
        self._progress: Counter[tuple[str, ...]] = Counter()
        """steps of a run, and trainings of an evaluation, by unit of work"""
        self._fan_out = FanOut(self._tasks, self.shared, self._shares, budget, work, self._progress)
        self._experts_left: Counter[str] = Counter()
        """tasks under way, by the ids of expert sets"""
        self._expert_faults: dict[str, Fault] = {}
        self._events = self.shared.events.take.remote(self.ending)
        self._replicas = ReplicaWatch(lambda: self._actors.replicas, self.shared.storage, view.show)
        self._polled = self._counted = 0.0
        self._slots = 0
        self._kinds: set[Kind] = set()
        """of distillations that there may be"""

    @abstractmethod
    def next(self) -> Leg | None:
        """See `Listener`."""

    @property
    @abstractmethod
    def exhausted(self) -> bool:
        """See `Listener`."""

    def furthest(self, leg: Leg) -> int:
        """See `Listener`."""
        return self._progress["trial", leg.run.run_id]

    @abstractmethod
    def distilled(self, leg: Leg) -> None:
        """See `Listener`."""

    @abstractmethod
    def faulted(self, leg: Leg, fault: Fault, step: int | None) -> None:
        """See `Listener`."""

    def slots(self) -> int:
        """See `Listener`: where machines may come, as many again, which lets an autoscaler start them."""
        if time.monotonic() - self._counted > _CLUSTER_SECONDS:
            there = [(node["Resources"], 1) for node in alive_nodes()]
            now, at_most = self._room(there), self._room([(each.resources, each.at_most) for each in self._types])
            self._slots = now + max(0, min(now, at_most - now))
            self._counted = time.monotonic()
        return self._slots

    def _room(self, machines: Iterable[tuple[Mapping[str, float], int]]) -> int:
        """Distillations that so many machines of each kind have room for at once."""
        each_kind = list(machines)
        needed = set(map(self._shares.of, self._kinds))
        return max(sum(slices_of(has, each) * count for has, count in each_kind) for each in needed)

    def retried(self, what: str, error: str) -> None:
        """See `Listener`."""
        self.view.show(Retried(what, error))

    def poll(self) -> None:
        """See `Listener`."""
        if time.monotonic() - self._polled > _POLL_SECONDS:
            self._take(0)
            self._polled = time.monotonic()

    def _pack(self, left: Left) -> None:
        pack(left, self.shared, self._shares, self._tasks, self.view, self.work.measurement)

    def _distil(self, runs: tuple[Run, ...]) -> None:
        """Distil what `next` gives, which is like some runs, to its end."""
        self._kinds = set(map(Kind.of_trial, runs))
        run_trials(self.shared, self._shares, self, self.work.distillation)

    def _train(self, expert_set: ExpertSet) -> None:
        """Submit those experts of a set that are missing."""
        ended = partial(self._expert_ended, expert_set)
        self._experts_left[expert_set.stored_id] += self._fan_out.experts(expert_set, ended)

    def _startable(self, run: Run, distilled: bool = False) -> Fault | bool:
        """Whether the experts that a run needs are trained; what went wrong with them, if something did."""
        fault = first_fault(run, self.shared.sweep, self._expert_faults, distilled)
        if fault is not None:
            return fault
        return not any(self._experts_left[each.stored_id] for each in experts_needed(run, self.shared.sweep, distilled))

    def _expert_ended(self, expert_set: ExpertSet, fault: Fault | None) -> None:
        self._experts_left[expert_set.stored_id] -= 1
        if fault is not None:
            self._expert_faults.setdefault(expert_set.stored_id, fault)

    def _take_all(self) -> None:
        """Take what is still to come, to the last event."""
        while len(self._tasks):
            self._take(_POLL_SECONDS)
        self._show(ray.get(self._events))
        self._show(ray.get(self.shared.events.take.remote(self.ending)))

    def _take(self, timeout_seconds: float) -> None:
        """Take what has come back from tasks, and show the events they sent."""
        self._tasks.poll(timeout_seconds)
        # Never waited for: the queue may be on its way to another machine.
        ready, _ = ray.wait([self._events], timeout=0)
        if ready:
            self._show(ray.get(self._events))
            self._events = self.shared.events.take.remote(self.ending)
        self._actors.follow()
        self._replicas.poll()
        self._watch_budget()

    def _watch_budget(self) -> None:
        if not self.ending and (spent := self.budget.spent):
            self.ending = True
            self.view.show(Ending(spent))

    def _show(self, events: list[bytes]) -> None:
        for event in map(pickle.loads, events):
            self._note(event)
            match event:
                case ShareTaken(unit, gpus):
                    self.budget.taken(unit, gpus)
                case ShareGivenBack(unit, gpus, seconds):
                    self.budget.given_back(unit, gpus, seconds)
                case _:
                    self.view.show(event)

    def _note(self, event: Event) -> None:
        """Keep how far the unit of work is that an event comes from."""
        match event:
            case RunProgressed(run, progress):
                unit = "trial", run.run_id
                self._progress[unit] = max(self._progress[unit], progress.step)
            case TrainingDone(run, evaluation_id, training):
                self._progress["evaluation", run.run_id, evaluation_id, training.network] += 1


def _most_gpus(held: float, types: Iterable[NodeType]) -> float:
    """What a unit of work can be given of one GPU, beside what generators hold of every machine's."""
    machines = [*(node["Resources"] for node in alive_nodes()), *(each.resources for each in types)]
    return float(min(1.0, max(each.get("GPU", 0) for each in machines) - held))
