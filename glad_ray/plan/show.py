"""A plan for people: tables of runs in order, prerequisites, generators with their layers, and cost.

Operations are estimates throughout; a time is called "about" where the number of images that it rests on is one, too.
"""

from collections.abc import Iterator, Set
from datetime import timedelta

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from glad_ray.plan.cost import (
    GIGAFLOPS_PER_CPU,
    GIGAFLOPS_PER_GPU,
    estimate,
    expert_flops,
    generator_multiply_adds,
    seconds,
)
from glad_ray.plan.plan import Plan
from glad_ray.plan.total import total
from glad_ray.plan.whitening import fits
from glad_ray.spec import REAL_BATCH_BYTES, DatasetFacts, GeneratorRecord, Run, dataset_facts
from glad_ray.spec.generators import GIB, images_at_once
from glad_ray.spec.layers import BETWEEN
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
    if value is None:
        return run.algorithm.implied(path.rpartition(".")[2], run.images_per_class) or "the backbone's"
    return str(value)


def _images(run: Run) -> str:
    """Images per class: `10`, or `10 (40)` where they hold more training images."""
    if run.ipc is None:
        return "all"
    trained = run.training_images_per_class
    return str(run.ipc) if trained == run.ipc else f"{run.ipc} ({trained})"


def plan_tables(plan: Plan, done: Set[str]) -> Iterator[Table | str]:
    """The parts of a plan to be printed; `done` are the ids of the runs that are finished already."""
    sweep = plan.sweep

    if plan.expert_sets:
        needs = Table(
            "expert trajectories", "id", "cpu time", "size", title="First: prerequisites", title_justify="left"
        )
        for expert_set in plan.expert_sets:
            time = _time(expert_flops(expert_set), trains_on=dataset_facts(expert_set.dataset))
            needs.add_row(escape(expert_set.label), expert_set.stored_id, time, decimal(expert_set.kept_bytes))
        yield needs

    table = Table(
        "", "run", "algorithm", "space", "dataset", "ipc", "seed", "steps", "distil", "evaluate", "state",
        title=f"Then: {_runs(len(plan.runs))} of {sweep.name}, in this order", title_justify="left",
    )  # fmt: skip
    for number, run in enumerate(plan.runs, 1):
        cost = estimate(run, sweep.evaluations)
        table.add_row(
            str(number),
            run.run_id,
            run.algorithm.name,
            f"{run.space}, weights" if run.learn_generator else run.space,
            escape(f"{run.dataset} {run.pixels}px" + ("" if run.whitening == "none" else ", whitened")),
            _images(run),
            str(run.seed),
            str(run.steps),
            _time(cost.distill_flops),
            _time(cost.evaluate_flops, trains_on=run.facts if run.ipc is None else None),
            "finished" if run.run_id in done else "to do",
        )
    yield table

    for evaluation in sweep.evaluations:
        networks = ", ".join(network.title for network in evaluation.networks)
        labels = {"hard": "", "soft": ", soft labels", "online": ", labels by a teacher at every step"}[
            evaluation.labels
        ]
        whole = any(run.ipc is None for run in plan.runs)
        fewer = f", {evaluation.whole_dataset_epochs} on the whole dataset" if whole else ""
        plain = ", no augmentation" if evaluation.augmentation == "" else ""
        times = "once" if evaluation.repeats == 1 else f"{evaluation.repeats} times"
        repeats = f"each trained {times} for {evaluation.epochs:,} epochs"
        yield f"Evaluation: {networks}; {repeats}{fewer}{labels}{plain}."
        if (looks := evaluation.looks) and not any(map(evaluation.looking, plan.runs)):
            yield "Looks: none, for no run keeps more than one set (snapshots)."
        elif looks:
            yield (
                f"Looks: trainings of {looks.epochs} epochs on every kept set, of the backbone and {looks.networks} of "
                "the other networks, tested on held-out training images; only the best set and the last are evaluated "
                "in full."
            )
    if any(run.formation.factor > 1 for run in plan.runs):
        yield "Where ipc is two numbers, the images of a class hold as many training images as the second says."
    yield from _whitenings(plan)
    if matching := sorted({run.algorithm.name for run in plan.runs if run.algorithm.real_images is not None}):
        yield (
            f"Real images of {' and '.join(matching)} go through the backbone in parts of at most "
            f"{REAL_BATCH_BYTES / GIB:g} GiB of activations, at least one image, however many they are."
        )
    yield from _generators(plan.runs, sweep.resources.generator_memory_gib)
    yield from _estimated_counts(plan)
    yield from dict.fromkeys(escape(f"{run.dataset}: {run.facts.note}") for run in plan.runs if run.facts.note)
    yield _total(plan, done)


def _whitenings(plan: Plan) -> Iterator[str]:
    for fit in fits(plan.runs, plan.expert_sets):
        apart = f" without {fit.held_out} held out per class" if fit.held_out else ""
        yield escape(
            f"Whitening of {fit.facts.title} at {fit.resolution} pixels: fitted once to the training images{apart}, in "
            f"about {_time(fit.flops)} of one CPU core and {decimal(fit.memory_bytes)} of memory, and kept in the "
            f"cache folder ({decimal(fit.kept_bytes)})."
        )


def _runs(number: int) -> str:
    """`1 run`, `2 runs`."""
    return "1 run" if number == 1 else f"{number} runs"


def _generators(runs: tuple[Run, ...], memory_gib: float) -> Iterator[str]:
    for generator in {run.generator.content_id: run.generator for run in runs if run.generator is not None}.values():
        name = f"Generator {generator.kind}-{generator.content_id}"
        if generator.missing is not None:
            planned = " Planned with is what is expected of a released one." if generator.known else ""
            yield escape(f"{name}: {generator.missing}{planned}")
        if generator.known:
            spaces = ", ".join(generator.spaces)
            layers = next(((each, *later) for each in generator.spaces if (later := generator.later_spaces(each))), ())
            several = f"; several in this order, as {BETWEEN.join(layers[:2])}" if layers else ""
            yield escape(f"{name} ({generator.resolution}px): legal spaces are pixel, {spaces}{several}.")
            used = dict.fromkeys(space for run in runs if run.generator == generator for space in run.spaces)
            yield from (_pullback(generator, space, memory_gib) for space in used)
    yield from dict.fromkeys(run.generator.licence for run in runs if run.generator and run.generator.licence)


def _pullback(generator: GeneratorRecord, space: str, memory_gib: float) -> str:
    needed = generator.pullback_bytes(space)
    if needed is None:
        return f"  {space}: what a gradient takes in memory is measured when it is built."
    at_once = images_at_once(memory_gib, needed)
    images = "1 image" if at_once == 1 else f"{at_once} images"
    return f"  {space}: a gradient takes {needed / MIB:,.0f} MiB an image; {images} at a time in {memory_gib:g} GiB."


def _estimated_counts(plan: Plan) -> Iterator[str]:
    """What times that are called "about" rest on."""
    trained_on = [dataset_facts(expert_set.dataset) for expert_set in plan.expert_sets]
    trained_on += [run.facts for run in plan.runs if run.ipc is None]
    titles: dict[int, dict[str, None]] = {}
    for facts in trained_on:
        if not facts.train_images_exact:
            titles.setdefault(facts.train_images, {})[facts.title] = None
    for count, of_count in titles.items():
        yield (
            f"About: ImageNet's mean of {count:,} training images is counted for {', '.join(of_count)}; their own "
            "numbers are not published."
        )


def _total(plan: Plan, done: Set[str]) -> str:
    left = [run for run in plan.runs if run.run_id not in done]
    cost = total(left, plan.sweep)
    unknown = ", ".join(not_counted(plan))
    beside = f" Not counted, for their cost is not known: {unknown}." if unknown else ""
    experts = (
        f" Experts take {cost.expert_gpu_hours:,.1f} of these hours, and {decimal(cost.expert_bytes)}."
        if cost.expert_bytes
        else ""
    )
    return (
        f"{len(left)} of {len(plan.runs)} runs to do: about {_time(cost.flops)} of one CPU core at "
        f"{GIGAFLOPS_PER_CPU:g} GFLOP/s ({cost.flops / 1e12:.3g} TFLOP), or {cost.gpu_hours:,.1f} hours of a GPU, if "
        f"it sustains {GIGAFLOPS_PER_GPU / 1000:g} TFLOP/s.{experts}{beside} Nothing was started."
    )


def not_counted(plan: Plan) -> tuple[str, ...]:
    """Networks and generators of other code, whose cost is not known."""
    networks = [network for evaluation in plan.sweep.evaluations for network in evaluation.networks]
    foreign = [network.title for network in networks if network.foreign]
    foreign += [run.generator_name for run in plan.runs if generator_multiply_adds(run) is None]
    return tuple(dict.fromkeys(foreign))


def _time(flops: float, trains_on: DatasetFacts | None = None) -> str:
    """Of one CPU core; `trains_on` is a dataset whose number of training images the time rests on."""
    if not flops:
        return "-"
    about = "about " if trains_on and not trains_on.train_images_exact else ""
    return about + str(timedelta(seconds=max(1, round(seconds(flops, GIGAFLOPS_PER_CPU)))))
