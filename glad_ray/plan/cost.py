"""What a run costs, estimated from its record alone: floating-point operations of its distillation and evaluation.

One multiply-add is two operations. Passes are counted in forward passes of the same images, as measured on the
operations of the networks (convolutions, linear layers, attention); augmentation, norms and optimisers are left out,
so that small networks and small batches take longer than the estimate says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul

from glad_ray.plan.whitening import whitening_multiply_adds
from glad_ray.spec import DatasetFacts, Evaluation, ExpertSet, Network, Run, dataset_facts
from glad_ray.spec.algorithms.base import FORWARD, TRAINING
from glad_ray.spec.layers import REAL_BATCH_SIZE, REAL_IMAGES, REFERENCE_NETWORKS, draws_per_network

GIGAFLOPS_PER_CPU = 40.0
"""10^9 operations a second of one core of a server CPU: about 80 were measured at the standard widths, and 20 to 35 in
whole steps with networks of width 32"""
GIGAFLOPS_PER_GPU = 20_000.0
"""a third of what an H100 is sold for in float32; not measured"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Floating-point operations of one run; the experts it needs, which it may share, are counted by themselves."""

    distill_flops: float
    evaluate_flops: float
    """all evaluations, networks, repeats and kept snapshots, or looks at these and what they leave"""


def estimate(run: Run, evaluations: Sequence[Evaluation]) -> Cost:
    """The cost of a run with its evaluations."""
    return Cost(
        distill_flops=run.steps * _step_flops(run),
        evaluate_flops=sum(evaluate_flops(run, evaluation) for evaluation in evaluations),
    )


def seconds(flops: float, gigaflops: float = GIGAFLOPS_PER_CPU) -> float:
    """Time for `flops` operations at `gigaflops` times 10^9 of them a second."""
    return flops / (gigaflops * 1e9)


def evaluate_flops(run: Run, evaluation: Evaluation) -> float:
    """Operations of training every network of an evaluation on the kept snapshots of a run, and of testing it."""
    looking = evaluation.looking(run)
    of_each = sum(training_flops(run, evaluation, network) for network in evaluation.networks)
    in_full = sets_in_full(run, evaluation) * evaluation.repeats * of_each
    if looking is None:
        return in_full
    of_look = sum(training_flops(run, looking, network, look=True) for network in looking.networks)
    return in_full + len(run.snapshot_steps) * looking.repeats * of_look


def sets_in_full(run: Run, evaluation: Evaluation) -> int:
    """How many sets of a run are evaluated in full, at most: all, or the one that looks choose and the last."""
    return len(run.snapshot_steps) if evaluation.looking(run) is None else 2


def training_flops(run: Run, evaluation: Evaluation, network: Network, look: bool = False) -> float:
    """Operations of training one network of an evaluation on one synthetic set of a run, and of testing it; `look`: on
    held-out images alone.
    """
    facts = run.facts
    images = facts.classes * run.training_images_per_class
    if run.ipc is None:
        images = facts.train_images - facts.classes * run.held_out
    trained = evaluation.epochs_for(run) * images * TRAINING
    tested = (0 if look else evaluation.test_images or facts.test_images) + facts.classes * run.held_out
    whitened = tested + (evaluation.epochs_for(run) * images if run.ipc is None else 0)
    seen = network_multiply_adds(network, facts, run.pixels) * (trained + tested)
    if evaluation.labels_of(run) == "online":
        teacher = run.experts_of(evaluation.teacher).network
        asked = FORWARD * evaluation.epochs_for(run) * images * evaluation.teacher.count
        seen += network_multiply_adds(teacher, facts, run.pixels) * asked
    return 2.0 * (seen + whitening_multiply_adds(run.whitening, facts, run.pixels) * whitened)


def expert_flops(expert_set: ExpertSet) -> float:
    """Operations of training every expert of a set."""
    facts, experts = dataset_facts(expert_set.dataset), expert_set.experts
    images = facts.train_images - facts.classes * expert_set.held_out
    passes = 1 if experts.flat is None else 2
    of_image = passes * TRAINING * network_multiply_adds(expert_set.network, facts, expert_set.resolution)
    of_image += whitening_multiply_adds(expert_set.whitening, facts, expert_set.resolution)
    return 2.0 * of_image * images * experts.last_epoch * experts.count


def network_multiply_adds(network: Network, facts: DatasetFacts, resolution: int) -> int:
    """Of one forward pass of one image of a dataset.

    0 for a foreign network (`Network.foreign`): whoever shows a cost says that those are not in it.
    """
    if network.foreign:
        return 0
    return network.shape(channels=facts.channels, resolution=resolution, classes=facts.classes).multiply_adds


def generator_multiply_adds(run: Run) -> int | None:
    """Of one image and its gradient, on average over the steps; 0 without a generator, None where it is not known (and
    not in any estimate).
    """
    if run.generator is None:
        return 0
    if not run.generator.known:
        return None
    of_layers = [run.generator.step_multiply_adds(space) for space in run.spaces]
    steps = [last - before for before, last in pairwise((0, *run.last_steps))]
    known = [count for count in of_layers if count is not None]
    if len(known) < len(of_layers):
        return None
    return sum(map(mul, known, steps)) // max(sum(steps), 1) if len(known) > 1 else known[0]


def _step_flops(run: Run) -> float:
    """Operations of one step on the latents, on average over the steps."""
    facts = run.facts
    classes = _classes_of_step(run)
    synthetic = classes * run.training_images_per_class
    generator_flops = 2.0 * (generator_multiply_adds(run) or 0) * classes * run.images_per_class
    real = _real_images(run)
    passes = run.algorithm.network_passes(real=real, synthetic=synthetic, images_per_class=run.images_per_class)
    there = facts.train_images - facts.classes * run.held_out
    passes += run.algorithm.further_passes(classes=facts.classes, train_images=there)
    # Those that a generator makes are whitened, and their gradients pulled back.
    whitened = real + (2 * synthetic if run.generator else 0)
    whitening_flops = 2.0 * whitening_multiply_adds(run.whitening, facts, run.pixels) * whitened
    passes += _compared_images(run) / max(run.steps, 1)
    network_flops = 2.0 * network_multiply_adds(run.backbone, facts, run.pixels) * passes
    return generator_flops + whitening_flops + network_flops


def _compared_images(run: Run) -> int:
    """Images that a whole run sends through the backbone to choose what each layer leaves to the next."""
    layers, schedule, facts = len(run.spaces), run.schedule, run.facts
    if layers == 1 or schedule.choice == "last":
        return 0
    synthetic = facts.classes * run.training_images_per_class * (run.steps + layers)
    of_class = facts.train_images // facts.classes - run.held_out
    if schedule.distance == "common":
        return synthetic + layers * facts.classes * min(REAL_IMAGES, of_class)
    batch = run.algorithm.real_images or REAL_BATCH_SIZE
    count, size = draws_per_network(facts.classes * of_class, facts.classes, batch)
    return synthetic + REFERENCE_NETWORKS * count * facts.classes * min(size, of_class)


def _real_images(run: Run) -> int:
    """Real images that one step draws."""
    facts, of_class = run.facts, run.algorithm.real_images
    return _classes_of_step(run) * min(of_class or 0, facts.train_images // facts.classes - run.held_out)


def _classes_of_step(run: Run) -> int:
    """Classes whose images one step has."""
    return run.facts.classes if run.algorithm.class_of_step(0, run.facts.classes) is None else 1
