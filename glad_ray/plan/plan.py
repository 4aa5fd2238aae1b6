"""A sweep made concrete: its runs in the order they start, and what they need first."""

import json
from dataclasses import dataclass

from glad_ray.errors import DataError, UserError
from glad_ray.plan.cost import estimate
from glad_ray.spec import ExpertSet, Resources, Run, Sweep, dataset_facts
from glad_ray.spec.overrides import rank
from glad_ray.spec.whitening import check_whitening
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
    """networks to be trained on real data before the runs that need them, each once"""


def make_plan(sweep: Sweep) -> Plan:
    """The plan of a sweep; raises `UserError` if it has no runs."""
    if not sweep.runs:
        raise UserError(f"Sweep {sweep.name} has no runs: list at least one in Sweep(runs=...).")
    runs = sorted(
        sweep.runs,
        key=lambda run: (rank(run, sweep.first), -estimate(run, sweep.evaluations).distill_flops),
    )
    needed = [expert_set for run in runs for expert_set in experts_needed(run, sweep)]
    return Plan(sweep=sweep, runs=tuple(runs), expert_sets=tuple(dict.fromkeys(needed)))


def plan_experts(*expert_sets: ExpertSet, resources: Resources = _STANDARD) -> Plan:
    """The plan of networks trained on real data for themselves, without a run that needs them.

    Raises `UserError` if their images are to be whitened and too large for it.
    """
    for each in expert_sets:
        if each.whitening != "none":
            check_whitening(each.whitening, dataset_facts(each.dataset).channels, each.resolution)
    return Plan(Sweep(name="experts", runs=(), resources=resources), (), expert_sets)


def experts_needed(run: Run, sweep: Sweep, distilled: bool = False) -> tuple[ExpertSet, ...]:
    """The networks trained on real data that a run needs: to be distilled, unless it is, and to be evaluated."""
    first = None if distilled else run.expert_set
    needed = (first, *(evaluation.teachers_of(run) for evaluation in sweep.evaluations))
    return tuple(dict.fromkeys(filter(None, needed)))


def read_plan(storage: Storage) -> Plan:
    """The plan that `write_plan` kept; raises `DataError` if there is none, or it is damaged or of another version."""
    try:
        kept = json.loads(storage.read_bytes(Storage.PLAN))
        sweep = Sweep.model_validate(kept["sweep"])
        runs = {run.run_id: run for run in sweep.runs}
        needed = (each for run in sweep.runs for each in experts_needed(run, sweep))
        expert_sets = {each.content_id: each for each in needed}
        return Plan(
            sweep, tuple(runs[each] for each in kept["runs"]), tuple(expert_sets[each] for each in kept["expert_sets"])
        )
    except DataError:
        raise
    except (UserError, ValueError, TypeError, LookupError) as error:
        raise DataError(
            f"{Storage.PLAN} in {storage} cannot be read: start the sweep again, which writes it, or read it with the "
            "version that wrote it."
        ) from error


def write_plan(plan: Plan, storage: Storage) -> None:
    """Keep the sweep, and the order of its runs, beside what they make."""
    kept = {
        "sweep": plan.sweep.model_dump(mode="json"),
        "runs": [run.run_id for run in plan.runs],
        "expert_sets": [expert_set.content_id for expert_set in plan.expert_sets],
    }
    storage.write_bytes(Storage.PLAN, json.dumps(kept, indent=1).encode())
