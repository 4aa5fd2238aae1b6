"""What is tried before anything is started: every network, generator, algorithm and metric that a plan needs."""

from glad_ray.algorithms import check_algorithm
from glad_ray.engine.process_state import restored
from glad_ray.engine.remaining import RemainingWork
from glad_ray.generators import check_generator, read_file
from glad_ray.metrics import metric
from glad_ray.networks import check_network
from glad_ray.plan import Plan
from glad_ray.spec import DatasetFacts, GeneratorRecord, Network, Run, dataset_facts
from glad_ray.stylegan.files import GeneratorFile


def check_code(plan: Plan, remaining: RemainingWork) -> None:
    """Raise the `UserError` that importing some algorithm or metric of what is left would meet."""
    for run in remaining.to_distill:
        check_algorithm(run)
    for evaluation in plan.sweep.evaluations if remaining.to_evaluate or remaining.to_distill else ():
        for name in evaluation.metrics:
            metric(name)


def check_networks(plan: Plan, remaining: RemainingWork, *, evaluated: bool = True) -> None:
    """Raise the `UserError` that building some network of what is left, or training it, would meet.

    `evaluated`: its evaluations belong to it too.
    """
    needed: dict[tuple[Network, DatasetFacts, int, int], None] = {}
    for run in (*remaining.to_distill, *remaining.to_evaluate):
        facts, size = run.facts, _set_size(run)
        smallest = run.algorithm.smallest_batch(run.images_per_class, facts.classes)
        needed[run.backbone, facts, run.pixels, min(smallest, 2)] = None
        for evaluation in plan.sweep.evaluations if evaluated else ():
            for network in evaluation.networks:
                needed[network, facts, run.pixels, min(size, evaluation.batch_size, 2)] = None
    for each in remaining.expert_sets:
        facts = dataset_facts(each.dataset)
        images = facts.train_images - each.held_out * facts.classes
        needed[each.network, facts, each.resolution, min(images, each.experts.batch_size, 2)] = None
    with restored():
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
    return run.facts.classes * run.ipc


def check_generators(remaining: RemainingWork, *, shared_on: str, own_on: str) -> dict[GeneratorRecord, GeneratorFile]:
    """Raise the `UserError` that building some generator of what is left would meet, on the devices where runs share
    them and have their own; returns the weights of trained ones.
    """
    for run in remaining.to_distill:
        if run.generator is not None:
            check_generator(run.generator, own_on if run.learn_generator else shared_on)
    files = {record: read_file(record) for record in remaining.generators}
    return {record: file for record, file in files.items() if file is not None}
