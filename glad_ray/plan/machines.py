"""What units of work take of machines, and whether there are any, or may be, that have it: asked of a running cluster's
machines and of those that a launcher file lets an autoscaler start.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from glad_ray.errors import UserError
from glad_ray.plan.plan import Plan
from glad_ray.spec import Bundle, ExpertSet, GeneratorRecord, Resources, Run, Sweep, Unit
from glad_ray.spec.generators import GIB

_LEAST_GPUS = 0.01
"""that have to be there for what is measured"""
_ALIKE = 1e-4
"""Ray counts in ten thousandths"""
_TITLES: Mapping[Unit, str] = {"trial": "distillation", "evaluation": "evaluation", "expert": "expert"}


class NodeType(NamedTuple):
    """Machines of a kind, as a launcher file has them."""

    name: str
    resources: Mapping[str, float]
    """in Ray's words: `CPU`, `GPU`, `memory` in bytes, and custom ones"""
    at_most: int
    """machines of it"""


def room_for(node: Mapping[str, float], needed: Bundle, *, held_gpus: float = 0) -> int:
    """How many units of work a machine has room for at once; none if it is of another kind than they need."""
    if any(not node.get(name) for name in needed.machines):
        return 0
    has = {"CPU": node.get("CPU", 0), "GPU": node.get("GPU", 0) - held_gpus, "memory": node.get("memory", 0)}
    takes = {"CPU": needed.cpus, "GPU": needed.gpus, "memory": needed.memory_gib * GIB}
    return min(int(has[part] / takes[part] + _ALIKE) for part in takes if takes[part])


def least_bundle(resources: Resources, unit: Unit, name: str) -> Bundle:
    """What a unit of work takes at least: a little of a GPU where that is still to be measured."""
    share = resources.share_of(unit, name)
    return share.bundle._replace(gpus=_LEAST_GPUS) if share.measured else share.bundle


def units_of(
    sweep: Sweep, to_distill: Sequence[Run], to_evaluate: Sequence[Run], expert_sets: Iterable[ExpertSet]
) -> set[tuple[Unit, str]]:
    """The kinds of work that some runs of a sweep take, with the names of their algorithms and networks."""
    evaluated = bool(to_distill or to_evaluate)
    networks = {network.name for each in sweep.evaluations for network in each.networks} if evaluated else set()
    return {
        *(("trial", run.algorithm.name) for run in to_distill),
        *(("evaluation", name) for name in networks),
        *(("expert", each.network.name) for each in expert_sets),
    }


def shared_generators(to_distill: Iterable[Run], resources: Resources) -> set[GeneratorRecord]:
    """The generators that replicas hold: those of several runs.

    Where trials have GPUs and replicas none, every trial holds its own, and so does a trial that alone has a generator,
    unless that would leave it without the GPU that replicas have.
    """
    distilled = list(to_distill)
    on_gpus = any(resources.share_of("trial", run.algorithm.name).bundle.gpus for run in distilled)
    if on_gpus and not resources.generator_gpus:
        return set()
    runs = Counter[GeneratorRecord](run.generator for run in distilled if run.generator and not run.learn_generator)
    fewest = 1 if resources.generator_gpus and not on_gpus else 2
    return {record for record, count in runs.items() if count >= fewest}


def held_gpus(to_distill: Iterable[Run], resources: Resources) -> float:
    """What replicas of generators hold of the GPUs of every machine."""
    return len(shared_generators(to_distill, resources)) * resources.generator_gpus


def check_machines(
    resources: Resources,
    units: Iterable[tuple[Unit, str]],
    machines: Collection[Mapping[str, float]],
    *,
    held: float,
    where: str,
) -> None:
    """Raise `UserError` if some unit of work asks for more than any of these machines has.

    `held`: of the GPUs of each, by generators. `where`: words for these machines.
    """
    for unit, name in sorted(units):
        needed = least_bundle(resources, unit, name)
        if not any(room_for(each, needed, held_gpus=held) for each in machines):
            raise UserError(_unmet(resources, unit, name, machines, held, where))


def _unmet(
    resources: Resources,
    unit: Unit,
    name: str,
    machines: Collection[Mapping[str, float]],
    held: float,
    where: str,
) -> str:
    share = resources.share_of(unit, name)
    needed, gpus = share.bundle, "auto" if share.measured else f"{share.gpus:g}"
    asks = (
        f"resources.{unit}.cpus={needed.cpus:g} with resources.{unit}.gpus={gpus} and "
        f"resources.{unit}.memory_gib={needed.memory_gib:g}, or what resources.by_name has for {name},"
    )
    alike = [each for each in machines if all(each.get(kind) for kind in needed.machines)]
    if needed.machines and not alike:
        kinds = sorted({kind for each in machines for kind in each} - _OF_ALL)
        some = f"they have {', '.join(kinds)}" if kinds else "they have no such resources"
        return (
            f"No machine {where} has the resource {' and '.join(needed.machines)} that resources.{unit}.nodes or "
            f"resources.{unit}.accelerator asks for, or resources.by_name for {name}; {some}."
        )
    most = max(alike, key=lambda each: (each.get("GPU", 0), each.get("CPU", 0)), default={})
    beside = f", {held:g} of them for generators" if held else ""
    of_kind = f" with {' and '.join(needed.machines)}" if needed.machines else ""
    return (
        f"{asks} is more than any machine {where}{of_kind} has ({most.get('CPU', 0):g} CPUs, {most.get('GPU', 0):g} "
        f"GPUs{beside} and {most.get('memory', 0) / GIB:.1f} GiB at most): ask for less."
    )


_OF_ALL = {"CPU", "GPU", "memory", "object_store_memory"}


class Placement(NamedTuple):
    """Where work of a kind can run."""

    unit: Unit
    name: str
    """of its algorithm or network"""
    takes: tuple[str, ...]
    """what one unit of it takes, in words"""
    room: tuple[tuple[NodeType, int], ...]
    """the kinds of machines that can take it, with how many units one machine takes at once"""


def placements(plan: Plan, types: Sequence[NodeType], title: str) -> tuple[Placement, ...]:
    """Which kinds of machines can take each kind of work, and how many at once; raises `UserError` where none can.

    `title`: words for the machines.
    """
    resources, held = plan.sweep.resources, held_gpus(plan.runs, plan.sweep.resources)
    units = units_of(plan.sweep, plan.runs, (), plan.expert_sets)
    check_machines(resources, units, [each.resources for each in types], held=held, where=title)
    found = []
    for unit, name in sorted(units):
        needed = least_bundle(resources, unit, name)
        counted = ((each, room_for(each.resources, needed, held_gpus=held)) for each in types)
        room = tuple((each, count) for each, count in counted if count)
        found.append(Placement(unit, name, tuple(_takes(resources, unit, name)), room))
    return tuple(found)


def machines_table(found: Iterable[Placement], title: str) -> Table:
    """Where each kind of work can run, as a table."""
    table = Table(
        "work", "takes", "can run on (at once on one × machines at most)",
        title=f"Machines {title}", title_justify="left",
    )  # fmt: skip
    for each in found:
        table.add_row(
            f"{_TITLES[each.unit]} {each.name}",
            ", ".join(each.takes),
            ", ".join(f"{kind.name} ({count} × {kind.at_most})" for kind, count in each.room),
        )
    return table


def _takes(resources: Resources, unit: Unit, name: str) -> Iterator[str]:
    share = resources.share_of(unit, name)
    needed = share.bundle
    yield f"{needed.cpus:g} CPU"
    if needed.gpus:
        yield "GPU as measured" if share.measured else f"{needed.gpus:g} GPU"
    if needed.memory_gib:
        yield f"{needed.memory_gib:g} GiB"
    yield from needed.machines
