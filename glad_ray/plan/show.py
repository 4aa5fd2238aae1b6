"""A plan for people: tables of runs in order, prerequisites, generators with their layers, and cost."""

from collections.abc import Iterator, Set
from datetime import timedelta

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from glad_ray.plan.cost import (
    GIGAFLOPS_PER_CPU,
    GIGAFLOPS_PER_GPU,
    Cost,
    estimate,
    expert_flops,
    generator_multiply_adds,
    seconds,
)
from glad_ray.plan.parameters import expert_bytes
from glad_ray.plan.plan import Plan, experts_needed
from glad_ray.spec import DC, GeneratorRecord, Run
from glad_ray.spec.generators import images_at_once
from glad_ray.spec.profiles import DIFFERENCES, concerns
from glad_ray.spec.record import Record, value_at

MIB = 2**20


def differences_table(plan: Plan) -> Table:
    """Where the paper and its code disagree, what is done here, and what the runs of this plan have."""
    profiles = dict.fromkeys(run.profile for run in plan.runs)
    table = Table(
        "", "paper", "released code", "here", "these runs",
        title=f"Where the paper and its released code disagree; profile of these runs: {', '.join(profiles)}",
        title_justify="left",
    )  # fmt: skip
    for difference in DIFFERENCES:
        runs = [run for run in plan.runs if run.distils and concerns(difference, run)]
        values = dict.fromkeys(_said(run, difference.field) for run in runs) if difference.field else {}
        follows = {"profile": "by profile", "paper": "the paper", "code": "the code", "own": "neither"}
        here = ". ".join(filter(None, [follows[difference.follows], difference.reason]))
        table.add_row(*map(escape, [difference.item, difference.paper, difference.code, here, "; ".join(values)]))
    return table


def _said(run: Run, path: str) -> str:
    """A field's value for people; where it is left to images per class, what follows from them."""
    value = value_at(run, path)
    if isinstance(value, Record):
        return " ".join(f"{name} {number:g}" for name, number in value)
    if value is None and isinstance(run.algorithm, DC):
        outer, inner = run.algorithm.loops(run.images_per_class)
        return str(outer if path.endswith("outer_loops") else inner)
    return "the backbone's" if value is None else str(value)


def plan_tables(plan: Plan, done: Set[str]) -> Iterator[Table | str]:
    """The parts of a plan to be printed; `done` are the ids of the runs that are finished already."""
    sweep = plan.sweep
    costs = {run.run_id: estimate(run, sweep.evaluations) for run in plan.runs}

    if plan.expert_sets:
        needs = Table(
            "expert trajectories", "id", "cpu time", "size", title="First: prerequisites", title_justify="left"
        )
        for expert_set in plan.expert_sets:
            time, size = _time(expert_flops(expert_set)), decimal(expert_bytes(expert_set))
            needs.add_row(expert_set.label, expert_set.content_id, time, size)
        yield needs

    table = Table(
        "", "run", "algorithm", "space", "dataset", "ipc", "seed", "steps", "distil", "evaluate", "state",
        title=f"Then: {len(plan.runs)} runs of {sweep.name}, in this order", title_justify="left",
    )  # fmt: skip
    for number, run in enumerate(plan.runs, 1):
        cost = costs[run.run_id]
        table.add_row(
            str(number),
            run.run_id,
            run.algorithm.name,
            f"{run.space}, weights" if run.learn_generator else run.space,
            f"{run.dataset} {run.pixels}px",
            "all" if run.ipc is None else str(run.ipc),
            str(run.seed),
            str(run.steps),
            _time(cost.distill_flops),
            _time(cost.evaluate_flops),
            "finished" if run.run_id in done else "to do",
        )
    yield table

    for evaluation in sweep.evaluations:
        networks = ", ".join(network.title for network in evaluation.networks)
        labels = "" if evaluation.labels == "hard" else ", soft labels"
        plain = ", no augmentation" if evaluation.augmentation == "" else ""
        yield f"Evaluation: {networks}; {evaluation.repeats} repeats of {evaluation.epochs} epochs each{labels}{plain}."
    yield from _generators(plan.runs, sweep.resources.generator_memory_gib)
    yield _total(plan, costs, done)


def _generators(runs: tuple[Run, ...], memory_gib: float) -> Iterator[str]:
    for generator in {run.generator.content_id: run.generator for run in runs if run.generator is not None}.values():
        name = f"Generator {generator.kind}-{generator.content_id}"
        if generator.missing is not None:
            planned = " Planned with is what is expected of a released one." if generator.known else ""
            yield escape(f"{name}: {generator.missing}{planned}")
        if generator.known:
            spaces = ", ".join(generator.spaces)
            yield escape(f"{name} ({generator.resolution}px): legal spaces are pixel, {spaces}.")
            used = dict.fromkeys(run.space for run in runs if run.generator == generator)
            yield from (_pullback(generator, space, memory_gib) for space in used)
    yield from dict.fromkeys(run.generator.licence for run in runs if run.generator and run.generator.licence)


def _pullback(generator: GeneratorRecord, space: str, memory_gib: float) -> str:
    needed = generator.pullback_bytes(space)
    if needed is None:
        return f"  {space}: what a gradient takes in memory is measured when it is built."
    at_once = images_at_once(memory_gib, needed)
    images = "1 image" if at_once == 1 else f"{at_once} images"
    return f"  {space}: a gradient takes {needed / MIB:,.0f} MiB an image; {images} at a time in {memory_gib:g} GiB."


def _total(plan: Plan, costs: dict[str, Cost], done: Set[str]) -> str:
    left = [costs[run.run_id] for run in plan.runs if run.run_id not in done]
    experts = {
        expert_set: expert_flops(expert_set)
        for run in plan.runs
        if run.run_id not in done
        for expert_set in experts_needed(run, plan.sweep)
    }
    flops = sum(cost.distill_flops + cost.evaluate_flops for cost in left) + sum(experts.values())
    networks = [network for evaluation in plan.sweep.evaluations for network in evaluation.networks]
    foreign = [network.title for network in networks if network.foreign]
    foreign += [run.generator_name for run in plan.runs if generator_multiply_adds(run) is None]
    unknown = ", ".join(dict.fromkeys(foreign))
    not_counted = f" Not counted, for their cost is not known: {unknown}." if unknown else ""
    return (
        f"{len(left)} of {len(plan.runs)} runs to do: about {_time(flops)} of one CPU core at {GIGAFLOPS_PER_CPU:g} "
        f"GFLOP/s ({flops / 1e12:.3g} TFLOP), or {seconds(flops, GIGAFLOPS_PER_GPU) / 3600:,.1f} hours of a GPU, if it "
        f"sustains {GIGAFLOPS_PER_GPU / 1000:g} TFLOP/s.{not_counted} Nothing was started."
    )


def _time(flops: float) -> str:
    return str(timedelta(seconds=max(1, round(seconds(flops, GIGAFLOPS_PER_CPU))))) if flops else "-"
