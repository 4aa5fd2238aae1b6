"""What a large grid takes on 8, 64 and 512 GPUs, foretold; for `scale.py --cost`.

Ten subsets of ImageNet at 128 pixels, three algorithms with the paper's settings, fourteen spaces, five generators of
StyleGAN-XL's size, five seeds. Pixels have no generator: of 10,500 combinations 9,900 differ.

GPU hours are operations, as `glad-ray plan` estimates them, by operations a second that a GPU is taken to sustain: an
assumption, and all hours go with it. On the clock, units of work are laid on GPUs in the driver's order, each with its
share: experts first, then distillations, the longest first, and evaluations as their runs are distilled.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from glad_ray import Evaluation, Run, StyleGANFile, Sweep, grid
from glad_ray.paper import ALGORITHMS, TEN
from glad_ray.plan import Plan, experts_needed, make_plan
from glad_ray.plan.cost import estimate, expert_flops, training_flops
from glad_ray.spec import dataset_facts

GPUS = (8, 64, 512)
SHARE = 0.25
SPACES = ("w+", *(f"f{n}" for n in range(0, 24, 2)))
GENERATORS = tuple(
    StyleGANFile(path=f"generators/imagenet128-{number}.pkl", trained_on="imagenet", resolution=128)
    for number in range(5)
)
EXAMPLE_PRICE = 2.0
"""dollars for an hour of a GPU: an example, not anybody's price"""
_SETS_KEPT = 2
"""of the last step: the set, and the candidate that is evaluated"""
_IN_A_CHECKPOINT = 2
"""times the latents: they and their momenta"""
_HOUR = 3600


def large() -> Sweep:
    """All runs of the grid that differ."""
    return Sweep(
        name="large",
        runs=grid(
            Run(algorithm=ALGORITHMS["dc"], resolution=128),
            dataset=TEN,
            algorithm=ALGORITHMS.values(),
            where=[
                {"space": "pixel"},
                *({"space": space, "generator": each} for each in GENERATORS for space in SPACES),
            ],
            seed=range(5),
        ),
        evaluations=Evaluation(),
    )


class Clock(NamedTuple):
    """A sweep on so many GPUs, in hours since it began."""

    experts: float
    """the last one is trained"""
    shares_idle: float
    """some share has nothing to do any more"""
    end: float
    computing: float
    """the part of all hours of GPUs until then in which they compute"""


def clock(plan: Plan, gpus: int, teraflops: float) -> Clock:
    """Lay the units of work of a plan on shares of GPUs, each as soon as it can begin on the one that is free first.

    A GPU is taken to compute as much for several shares as for one that has it all.
    """
    rate = teraflops * 1e12 * SHARE * _HOUR
    free = [0.0] * int(gpus / SHARE)

    def compute(flops: float, not_before: float) -> float:
        end = max(heapq.heappop(free), not_before) + flops / rate
        heapq.heappush(free, end)
        return end

    trained = {
        each: max(compute(expert_flops(each) / each.experts.count, 0.0) for _ in range(each.experts.count))
        for each in plan.expert_sets
    }
    needed = [experts_needed(run, plan.sweep) for run in plan.runs]
    locked = sorted((max((trained[each] for each in sets), default=0.0), run) for run, sets in enumerate(needed))
    ready, distilled = list[int](), list[tuple[float, int]]()
    units = [Flops.of(run, plan.sweep) for run in plan.runs]
    while locked or ready or distilled:
        # What the driver has submitted first, Ray starts first: evaluations before distillations that come later.
        if distilled and (distilled[0][0] <= free[0] or not (locked or ready)):
            ended, run = heapq.heappop(distilled)
            for flops in units[run].trainings:
                compute(flops, ended)
            continue
        while locked and (not ready or locked[0][0] <= free[0]):
            heapq.heappush(ready, locked.pop(0)[1])
        run = heapq.heappop(ready)
        begin = max((trained[each] for each in needed[run]), default=0.0)
        heapq.heappush(distilled, (compute(units[run].distillation, begin), run))
    work = sum(map(expert_flops, plan.expert_sets)) + sum(each.distillation + sum(each.trainings) for each in units)
    return Clock(max(trained.values()), min(free), max(free), work / rate / max(free) / len(free))


class Flops(NamedTuple):
    """Operations of a run's units of work."""

    distillation: float
    trainings: tuple[float, ...]
    """of its evaluation with each network"""

    @classmethod
    def of(cls, run: Run, sweep: Sweep) -> "Flops":
        """Those of a run and of its evaluation."""
        return cls(
            estimate(run, ()).distill_flops,
            tuple(
                len(run.snapshot_steps) * evaluation.repeats * training_flops(run, evaluation, network)
                for evaluation in sweep.evaluations
                for network in evaluation.networks
            ),
        )


def say(console: Console, driver_ms: float, teraflops: float) -> None:
    """Print what the grid takes; `driver_ms` is the driver's CPU time a run, as `scale.py` measures it."""
    plan = make_plan(large())
    combinations = len(TEN) * len(ALGORITHMS) * (1 + len(SPACES)) * len(GENERATORS) * 5
    console.print(
        f"{combinations:,} combinations, of which {len(plan.runs):,} differ; {len(plan.expert_sets)} sets of experts"
    )
    hours = _gpu_hours(plan, teraflops)
    whole = sum(hours.values())
    table = Table("", "units of work", "GPU hours", "of all", title=f"At {teraflops:g} TFLOP/s sustained by a GPU")
    for (part, number), taken in sorted(hours.items(), key=lambda of_part: -of_part[1]):
        table.add_row(part, f"{number:,}", f"{taken:,.0f}", f"{taken / whole:.1%}")
    table.add_row("all", "", f"{whole:,.0f}", "")
    console.print(table)
    console.print(_clock_table(plan, teraflops, driver_ms * len(plan.runs) / 1e3 / _HOUR))
    for sentence in _bytes(plan):
        console.print(sentence)
    console.print(
        f"Money: {whole:,.0f} GPU hours times your price of one. An example: at ${EXAMPLE_PRICE:g}, "
        f"${whole * EXAMPLE_PRICE:,.0f}."
    )


def _clock_table(plan: Plan, teraflops: float, driver_hours: float) -> Table:
    longest = max(estimate(run, ()).distill_flops for run in plan.runs) / (teraflops * 1e12) / _HOUR / SHARE
    table = Table(
        "GPUs", "units at once", "hours", "experts trained after", "all busy until", "GPUs compute", "driver computes",
        title=f"On the clock, a quarter of a GPU each; the longest distillation takes {longest:.0f} h of its share",
    )  # fmt: skip
    for gpus in GPUS:
        at = clock(plan, gpus, teraflops)
        table.add_row(
            f"{gpus}",
            f"{gpus / SHARE:,.0f}",
            f"{at.end:,.1f}",
            f"{at.experts:.2f} h",
            f"{at.shares_idle:,.1f} h",
            f"{at.computing:.1%}",
            f"{driver_hours * 60:.0f} min, {driver_hours / at.end:.2%}",
        )
    return table


def _bytes(plan: Plan) -> Iterator[str]:
    """What lies on storage, goes there, and is held in memory."""
    sizes = [run.set_bytes for run in plan.runs]
    checkpoints = [run.steps // run.checkpoint_every for run in plan.runs]
    written = sum(_IN_A_CHECKPOINT * size * count for size, count in zip(sizes, checkpoints, strict=True))
    facts = [dataset_facts(name) for name in dict.fromkeys(run.dataset for run in plan.runs)]
    images = sum(each.channels * each.train_images * plan.runs[0].pixels ** 2 for each in facts)
    yield (
        f"On storage: synthetic sets, {_SETS_KEPT} times {decimal(sum(sizes))} ({decimal(max(sizes))} the largest); "
        f"experts, {decimal(sum(each.kept_bytes for each in plan.expert_sets))}."
    )
    yield (
        f"Checkpoints: {sum(checkpoints):,}, of latents and momenta; {decimal(written)} are written in all, of which "
        "two of each run under way are kept."
    )
    yield f"Real images: {decimal(images)} for training, of {len(facts)} datasets, on every machine that uses them."


def _gpu_hours(plan: Plan, teraflops: float) -> dict[tuple[str, int], float]:
    """By part, with the number of units of work it has."""
    flops, units = Counter[str](), Counter[str]()
    for each in plan.expert_sets:
        flops["experts"] += expert_flops(each)
        units["experts"] += each.experts.count
    for run in plan.runs:
        prior_or_pixels = "pixels" if run.generator is None else "latents"
        taken = Flops.of(run, plan.sweep)
        distillation = f"distillation, {run.algorithm.name} in {prior_or_pixels}"
        for part, number, of_part in (
            (distillation, 1, taken.distillation),
            ("evaluation", len(taken.trainings), sum(taken.trainings)),
        ):
            flops[part] += of_part
            units[part] += number
    return {(part, units[part]): flops[part] / (teraflops * 1e12) / _HOUR for part in flops}
