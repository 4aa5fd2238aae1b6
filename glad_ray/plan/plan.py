"""A sweep made concrete: its runs in the order they start, and what they need first."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from glad_ray.errors import DataError, UserError
from glad_ray.plan.cost import estimate
from glad_ray.plan.stored_ids import StoredIds
from glad_ray.spec import ExpertSet, Resources, Run, Sweep, dataset_facts
from glad_ray.spec.experts import merged
from glad_ray.spec.images.whitening import check_whitening
from glad_ray.spec.search_space import representatives
from glad_ray.spec.searches.search import Search
from glad_ray.spec.written.overrides import rank
from glad_ray.storage import Storage

_STANDARD = Resources()


@dataclass(frozen=True)
class Plan:
    """What a sweep will do."""

    sweep: Sweep
    runs: tuple[Run, ...]
    """in the order they start: those that the sweep wants first, and among these as among the others the longest
    distillation first, so that the last to end is a short one"""
    expert_sets: tuple[ExpertSet, ...]
    """networks to be trained on real data before the runs that need them: one set for each id, which serves all runs
    that need some of it"""
    part_of: "Plan | None" = None
    """the plan that storage keeps, where this one is a part of it"""

    def only(self, run_ids: Collection[str]) -> "Plan":
        """The part of it that has some of its runs."""
        runs = [run for run in self.runs if run.run_id in run_ids]
        return replace(_plan_of(self.sweep.replace(runs=runs), runs), part_of=self)

    def covering(self, expert_set: ExpertSet) -> ExpertSet:
        """The set of this plan that has all experts and epochs of a smaller one."""
        return next((each for each in self.expert_sets if each.stored_id == expert_set.stored_id), expert_set)


def make_plan(sweep: Sweep) -> Plan:
    """The plan of a sweep; raises `UserError` if it has no runs."""
    if not sweep.runs:
        raise UserError(f"Sweep {sweep.name} has no runs: list at least one in Sweep(runs=...).")
    runs = sorted(
        sweep.runs,
        key=lambda run: (rank(run, sweep.first), -estimate(run, sweep.evaluations).distill_flops),
    )
    return _plan_of(sweep, runs)


def plan_experts(*expert_sets: ExpertSet, resources: Resources = _STANDARD) -> Plan:
    """The plan of networks trained on real data for themselves, without a run that needs them.

    Raises `UserError` if their images are to be whitened and too large for it.
    """
    for each in expert_sets:
        if each.whitening != "none":
            check_whitening(each.whitening, dataset_facts(each.dataset).channels, each.resolution)
    return Plan(Sweep(name="experts", runs=(), resources=resources), (), merged(expert_sets))


def plan_search(search: Search, storage: Storage) -> Plan:
    """The plan of what the runs of a search need between them, as if they were those of a sweep: its runs are one for
    each choice that decides on that.
    """
    runs = representatives(search)
    # The evaluations at its rungs train on the sets' own labels.
    evaluation = search.evaluation.replace(labels="hard")
    sweep = Sweep(name=search.name, runs=runs, evaluations=(evaluation,), resources=search.resources)
    expert_sets = merged(run.expert_set for run in runs if run.expert_set is not None)
    return as_stored(Plan(sweep, runs, expert_sets), storage)


def experts_needed(run: Run, sweep: Sweep, distilled: bool = False) -> tuple[ExpertSet, ...]:
    """The networks trained on real data that a run needs: to be distilled, unless it is, and to be evaluated."""
    first = None if distilled else run.expert_set
    needed = (first, *(evaluation.teachers_of(run) for evaluation in sweep.evaluations))
    return tuple(dict.fromkeys(filter(None, needed)))


def as_stored(plan: Plan, storage: Storage) -> Plan:
    """The plan with the ids under which a storage holds its runs and experts already (see `StoredIds`)."""
    ids = StoredIds(storage)
    if not plan.runs:
        return replace(plan, expert_sets=merged(map(ids.of_experts, plan.expert_sets)))
    runs = {run.content_id: ids.of_run(run, experts_needed(run, plan.sweep)) for run in plan.runs}
    if not any(run.held_as for run in runs.values()):
        return plan
    sweep = plan.sweep.replace(runs=[runs[run.content_id] for run in plan.sweep.runs])
    return replace(_plan_of(sweep, runs.values()), part_of=plan.part_of)


def read_plan(storage: Storage) -> Plan:
    """The plan that `write_plan` kept; raises `DataError` if there is none, or it is damaged or of another version."""
    try:
        kept = json.loads(storage.read_bytes(Storage.PLAN))
        sweep = Sweep.model_validate(kept["sweep"])
        # An earlier version wrote former ids.
        runs = {each: run for run in sweep.runs for each in (run.former_id, run.run_id)}
        return as_stored(_plan_of(sweep, [runs[each] for each in kept["runs"]]), storage)
    except DataError:
        raise
    except (UserError, ValueError, TypeError, LookupError) as error:
        raise DataError(
            f"{Storage.PLAN} in {storage} cannot be read: start the sweep again, which writes it, or read it with the "
            "version that wrote it."
        ) from error


def write_plan(plan: Plan, storage: Storage) -> None:
    """Keep the sweep, and the order of its runs, beside what they make; of a plan without runs, there is nothing to
    keep.
    """
    plan = plan.part_of or plan
    if not plan.runs:
        return
    kept = {
        "sweep": plan.sweep.model_dump(mode="json"),
        "runs": [run.run_id for run in plan.runs],
        "expert_sets": [expert_set.stored_id for expert_set in plan.expert_sets],
    }
    storage.write_bytes(Storage.PLAN, json.dumps(kept, indent=1).encode())


def _plan_of(sweep: Sweep, runs: Iterable[Run]) -> Plan:
    """The plan of a sweep whose runs start in an order."""
    ordered = tuple(runs)
    return Plan(sweep, ordered, merged(each for run in ordered for each in experts_needed(run, sweep)))
