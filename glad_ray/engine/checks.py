"""What is tried before anything is started: the data, networks, generators, algorithms and metrics of a plan."""

from collections.abc import Mapping
from typing import NamedTuple

from glad_ray.algorithms import check_algorithm
from glad_ray.data import find_dataset
from glad_ray.engine.remaining import RemainingWork
from glad_ray.generators import check_generator, read_file
from glad_ray.metrics import metric
from glad_ray.networks import check_network
from glad_ray.plan import Plan
from glad_ray.spec import DatasetFacts, GeneratorRecord, Network, Resources, Run, dataset_facts
from glad_ray.stylegan.files import GeneratorFile


class CheckedPlan(NamedTuple):
    """A plan of which all that is left can be started."""

    plan: Plan
    remaining: RemainingWork
    """of a search: runs that need what any of its runs needs"""
    files: Mapping[GeneratorRecord, GeneratorFile]
    """weights of trained generators"""


def check_plan(plan: Plan, remaining: RemainingWork, *, device: str | None, evaluated: bool = True) -> CheckedPlan:
    """Raise the `UserError` that what is left would meet: data that is not there, an algorithm or metric that cannot be
    imported, a network that cannot be built or trained, a generator that cannot be built.

    `device`: of this process; None: on Ray, on the devices that the plan's shares ask for. `evaluated`: its evaluations
    belong to it too.
    """
    for run in remaining.to_distill:
        check_algorithm(run)
    for evaluation in plan.sweep.evaluations if remaining.to_evaluate or remaining.to_distill else ():
        for name in evaluation.metrics:
            metric(name)
    check_networks(plan, remaining, evaluated=evaluated)
    for key in remaining.data:
        find_dataset(key.dataset)
    shared_on, own_on = (device, device) if device is not None else _devices(remaining, plan.sweep.resources)
    for run in remaining.to_distill:
        if run.generator is not None:
            check_generator(run.generator, own_on if run.learn_generator else shared_on)
    files = {record: read_file(record) for record in remaining.generators}
    return CheckedPlan(plan, remaining, {record: file for record, file in files.items() if file is not None})


def _devices(remaining: RemainingWork, resources: Resources) -> tuple[str, str]:
    """On Ray, where runs share a generator, and where they have one of their own."""
    on_gpus = any(each.gpus for each in remaining.trial_bundles(resources))
    shared_on, own_on = (
        "cuda" if gpus and not resources.logical_gpus else "cpu"
        for gpus in (resources.generator_gpus or on_gpus, on_gpus)
    )
    return shared_on, own_on


def check_networks(plan: Plan, remaining: RemainingWork, *, evaluated: bool = True) -> None:
    """The same of its networks alone."""
    needed: dict[tuple[Network, DatasetFacts, int, int], None] = {}
    for run in (*remaining.to_distill, *remaining.to_evaluate):
        facts, size = run.facts, _set_size(run)
        smallest = run.algorithm.smallest_batch(run.training_images_per_class, facts.classes)
        needed[run.backbone, facts, run.pixels, min(smallest, 2)] = None
        for evaluation in plan.sweep.evaluations if evaluated else ():
            for network in evaluation.networks:
                needed[network, facts, run.pixels, min(size, evaluation.batch_size, 2)] = None
    for each in remaining.expert_sets:
        facts = dataset_facts(each.dataset)
        images = facts.train_images - each.held_out * facts.classes
        needed[each.network, facts, each.resolution, min(images, each.experts.batch_size, 2)] = None
    for network, facts, resolution, smallest_batch in needed:
        check_network(
            network,
            channels=facts.channels,
            resolution=resolution,
            classes=facts.classes,
            smallest_batch=smallest_batch,
        )


def _set_size(run: Run) -> int:
    """Images that the networks of a run's evaluation are trained on."""
    if run.ipc is None:
        return run.facts.train_images - run.held_out * run.facts.classes
    return run.facts.classes * run.training_images_per_class
