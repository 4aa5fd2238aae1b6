"""Sweeps and searches on a Ray cluster."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import ray

from glad_ray.engine.budget import Budget
from glad_ray.engine.carry_out import REAL, Work
from glad_ray.engine.checks import CheckedPlan, check_plan
from glad_ray.engine.cluster.connection import check_resources, connected, node_types
from glad_ray.engine.cluster.first_process import check_first_process
from glad_ray.engine.jobs import WorkClass
from glad_ray.engine.on_ray.context import sharing
from glad_ray.engine.on_ray.decoding import decode_on_cluster
from glad_ray.engine.on_ray.executor import Cluster, RayExecutor
from glad_ray.engine.on_ray.node_actors import alive_nodes
from glad_ray.engine.packing import PackingPolicy
from glad_ray.engine.remaining import raise_unless_recorded, remaining_work, show_begun
from glad_ray.engine.scheduler import Policy, Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.engine.sweep_policy import SweepPolicy
from glad_ray.plan import Plan, write_plan
from glad_ray.plan.machines import NodeType, held_gpus
from glad_ray.progress.events import ClusterJoined, PointReached
from glad_ray.progress.view import View
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from ray.tune import Callback

    from glad_ray.engine.search.study import Study


def run_on_ray(
    plan: Plan,
    storage: Storage,
    *,
    address: str | None,
    view: View,
    work: Work = REAL,
    callbacks: Sequence["Callback"] = (),
) -> str | None:
    """Run what is left of a plan on a cluster, and keep the plan beside it; a run that fails is recorded, the others go
    on.

    Returns the budget that ended it before all was done, in words; None: none did. `address` is `auto` or host:port;
    None: a cluster of this machine alone. `callbacks` are Ray Tune's, which are told of every distillation. Raises
    `UserError` before anything is started if data is not there, or the cluster, or what a unit of work asks of it, or
    some network cannot be built; `RunError` if experts fail that are those of no run.
    """
    budget = Budget(plan.sweep.resources)
    remaining = remaining_work(plan, storage)
    show_begun(plan, remaining, storage, view)
    if not (remaining.to_distill or remaining.to_evaluate or remaining.expert_sets):
        write_plan(plan, storage)
        return None
    checked = check_plan(plan, remaining, device=None)
    view.show(PointReached("checks"))
    policy = SweepPolicy(remaining, plan.sweep, storage, view, work.finish)
    with cluster_for(checked, storage, address, view, partial(write_plan, plan, storage)) as cluster:
        _schedule(policy, checked, cluster, budget, view, work, callbacks)
    raise_unless_recorded(plan.sweep, remaining.expert_sets, policy.experts.faults)
    return budget.spent if policy.unfinished else None


def search_on_ray(
    study: "Study", checked: CheckedPlan, storage: Storage, *, address: str | None, view: View, work: Work = REAL
) -> str | None:
    """Distil and evaluate all that a study asks for.

    Returns and raises what `run_on_ray` does.
    """
    # A sweep needs neither Optuna nor what keeps its studies.
    from glad_ray.engine.search.policy import SearchPolicy

    budget = Budget(checked.plan.sweep.resources)
    with cluster_for(checked, storage, address, view) as cluster:
        _schedule(SearchPolicy(study, checked.plan, storage), checked, cluster, budget, view, work)
    return None if study.finished else budget.spent


def _schedule(
    policy: Policy,
    checked: CheckedPlan,
    cluster: Cluster,
    budget: Budget,
    view: View,
    work: Work,
    callbacks: Sequence["Callback"] = (),
) -> None:
    """Bring a policy to its end on a cluster, after what GPUs hold is measured."""
    distillations = set(map(WorkClass.of_distillation, checked.remaining.to_distill))
    executor = RayExecutor(cluster, distillations, view, work, callbacks)
    packing = PackingPolicy(checked.remaining, checked.plan.sweep, cluster.shares, view)
    for each in (packing, policy):
        Scheduler(executor, each, cluster.shares, budget, view).run()


@contextlib.contextmanager
def cluster_for(
    checked: CheckedPlan,
    storage: Storage,
    address: str | None,
    view: View,
    on_found: Callable[[], object] = lambda: None,
) -> Iterator[Cluster]:
    """A cluster with all that units of work share: images, generators, experts. `address` is `auto` or host:port; None:
    a cluster of this machine alone.

    Raises `UserError` if the cluster is not there, or not what a unit of work asks of it; calls `on_found` once it is
    found to be, before an image is read.
    """
    remaining, sweep = checked.remaining, checked.plan.sweep
    resources = sweep.resources
    with connected(address) as joined:
        view.show(PointReached("Ray connected"))
        if joined is not None:
            has = ray.cluster_resources()
            view.show(ClusterJoined(joined, len(alive_nodes()), has.get("CPU", 0), has.get("GPU", 0)))
        check_first_process(view)
        view.show(PointReached("first process"))
        held, types = held_gpus(remaining.to_distill, resources), node_types(joined)
        check_resources(resources, remaining.units(sweep), types, held=held)
        on_found()
        shares = ShareTable(resources, _most_gpus(held, types))
        # The object store holds the only copy: a driver that kept another would double it.
        data = {key: ray.put(key.load(view, partial(decode_on_cluster, view))) for key in remaining.data}
        view.show(PointReached("images"))
        with sharing(sweep, remaining, storage, data, checked.files) as (context, actors):
            yield Cluster(context, shares, actors, types, alone=joined is None)


def _most_gpus(held: float, types: Iterable[NodeType]) -> float:
    """What a unit of work can be given of one GPU, beside what generators hold of every machine's."""
    machines = [*(node["Resources"] for node in alive_nodes()), *(each.resources for each in types)]
    return float(min(1.0, max(each.get("GPU", 0) for each in machines) - held))
