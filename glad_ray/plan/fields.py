"""A plan as the fields of a JSON document; docs/schemas/plan.json describes them."""

from collections.abc import Sequence, Set
from typing import Any

from glad_ray.plan.cost import GIGAFLOPS_PER_CPU, estimate, expert_flops, seconds
from glad_ray.plan.machines import Placement
from glad_ray.plan.plan import Plan
from glad_ray.plan.show import not_counted
from glad_ray.plan.total import total
from glad_ray.spec import Evaluation, ExpertSet, GeneratorRecord, Run
from glad_ray.spec.profiles import DIFFERENCES


def plan_fields(plan: Plan, done: Set[str], missing_data: Sequence[str]) -> dict[str, Any]:
    """What would run, in order, and what it needs and costs; `done` are the ids of the runs that are finished already,
    `missing_data` sentences on the datasets that were not found.
    """
    cost = total([run for run in plan.runs if run.run_id not in done], plan.sweep)
    return {
        "sweep": plan.sweep.name,
        "experts": [_expert_fields(each) for each in plan.expert_sets],
        "runs": [_run_fields(run, plan, run.run_id in done) for run in plan.runs],
        "evaluations": [_evaluation_fields(each) for each in plan.sweep.evaluations],
        "generators": [_generator_fields(each) for each in _generators(plan)],
        "missing_data": list(missing_data),
        "left": {
            "runs": len(plan.runs) - len(done),
            "flops": cost.flops,
            "cpu_seconds": seconds(cost.flops, GIGAFLOPS_PER_CPU),
            "gpu_hours": cost.gpu_hours,
            "expert_gpu_hours": cost.expert_gpu_hours,
            "expert_bytes": cost.expert_bytes,
            "not_counted": list(not_counted(plan)),
        },
    }


def difference_fields() -> list[dict[str, Any]]:
    """Where the paper and its code disagree."""
    return [
        {"item": each.item, "paper": each.paper, "code": each.code, "follows": each.follows, "reason": each.reason}
        for each in DIFFERENCES
    ]


def placement_fields(placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """Which kinds of machines can take each kind of work."""
    return [
        {
            "work": each.unit,
            "name": each.name,
            "takes": list(each.takes),
            "machines": [{"type": kind.name, "at_once": count, "at_most": kind.at_most} for kind, count in each.room],
        }
        for each in placements
    ]


def _run_fields(run: Run, plan: Plan, finished: bool) -> dict[str, Any]:
    cost = estimate(run, plan.sweep.evaluations)
    return {
        "run_id": run.run_id,
        "label": run.label,
        "algorithm": run.algorithm.name,
        "space": run.space,
        "generator": run.generator_name,
        "dataset": run.dataset,
        "resolution": run.pixels,
        "whitening": run.whitening,
        "ipc": run.ipc,
        "seed": run.seed,
        "steps": run.steps,
        "finished": finished,
        "distill_flops": cost.distill_flops,
        "evaluate_flops": cost.evaluate_flops,
    }


def _expert_fields(expert_set: ExpertSet) -> dict[str, Any]:
    return {
        "id": expert_set.stored_id,
        "label": expert_set.label,
        "dataset": expert_set.dataset,
        "network": expert_set.network.key,
        "count": expert_set.experts.count,
        "epochs": expert_set.experts.epochs,
        "flops": expert_flops(expert_set),
        "bytes": expert_set.kept_bytes,
    }


def _evaluation_fields(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "evaluation_id": evaluation.content_id,
        "networks": [network.key for network in evaluation.networks],
        "repeats": evaluation.repeats,
        "epochs": evaluation.epochs,
        "labels": evaluation.labels,
    }


def _generators(plan: Plan) -> tuple[GeneratorRecord, ...]:
    found = (run.generator for run in plan.runs if run.generator is not None)
    return tuple({generator.content_id: generator for generator in found}.values())


def _generator_fields(generator: GeneratorRecord) -> dict[str, Any]:
    return {
        "name": f"{generator.kind}-{generator.content_id}",
        "resolution": generator.resolution if generator.known else None,
        "spaces": list(generator.spaces) if generator.known else [],
        "missing": generator.missing,
    }
