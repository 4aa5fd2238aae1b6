"""A sweep made concrete: its runs in the order they start, and what they need first."""

import json
from dataclasses import dataclass

from glad_ray.errors import UserError
from glad_ray.plan.cost import estimate
from glad_ray.spec import ExpertSet, Run, Sweep
from glad_ray.storage import Storage


@dataclass(frozen=True)
class Plan:
    """What a sweep will do."""

    sweep: Sweep
    runs: tuple[Run, ...]
    """in the order they start: the longest distillation first, so that the last to end is a short one"""
    expert_sets: tuple[ExpertSet, ...]
    """expert trajectories to be trained before the runs that match them, each once"""


def make_plan(sweep: Sweep) -> Plan:
    """The plan of a sweep; raises `UserError` if it has no runs."""
    if not sweep.runs:
        raise UserError(f"Sweep {sweep.name} has no runs: list at least one in Sweep(runs=...).")
    runs = sorted(sweep.runs, key=lambda run: -estimate(run, sweep.evaluation).distill_flops)
    expert_sets = {run.expert_set.content_id: run.expert_set for run in runs if run.expert_set is not None}
    return Plan(sweep=sweep, runs=tuple(runs), expert_sets=tuple(expert_sets.values()))


def write_plan(plan: Plan, storage: Storage) -> None:
    """Keep the sweep, and the order of its runs, beside what they make."""
    kept = {
        "sweep": plan.sweep.model_dump(mode="json"),
        "runs": [run.run_id for run in plan.runs],
        "expert_sets": [expert_set.content_id for expert_set in plan.expert_sets],
    }
    storage.write_bytes(Storage.PLAN, json.dumps(kept, indent=1).encode())
