"""A sweep made concrete: its runs in the order they start, and what they need first. Reads and starts nothing."""

from dataclasses import dataclass

from glad_ray.plan.cost import estimate

from glad_ray.spec import ExpertSet, Run, Sweep


@dataclass(frozen=True)
class Plan:
    """What a sweep will do."""

    sweep: Sweep
    runs: tuple[Run, ...]
    """in the order they start: the longest distillation first, so that the last to end is a short one"""
    expert_sets: tuple[ExpertSet, ...]
    """expert trajectories to be trained before the runs that match them, each once"""


def make_plan(sweep: Sweep) -> Plan:
    """The plan of a sweep."""
    runs = sorted(sweep.runs, key=lambda run: -estimate(run, sweep.evaluation).distill_flops)
    expert_sets = {run.expert_set.content_id: run.expert_set for run in runs if run.expert_set is not None}
    return Plan(sweep=sweep, runs=tuple(runs), expert_sets=tuple(expert_sets.values()))
