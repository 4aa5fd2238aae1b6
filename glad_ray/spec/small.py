"""The same sweep in minutes: bundled images, narrow networks, few steps. To see that all of it runs, not to compare."""

from glad_ray.spec.algorithms.base import AlgorithmSettings, Matching, small_experts
from glad_ray.spec.generators import AnyGenerator, CustomGenerator, RandomStyleGAN
from glad_ray.spec.network import Network
from glad_ray.spec.run import Run
from glad_ray.spec.sweep import Evaluation, Sweep

SAMPLE = "fashion-mnist-sample"
RESOLUTION = 32
_FEWEST_LAYERS, _MOST_LAYERS = 4, 30


def small(sweep: Sweep) -> Sweep:
    """The grid of a sweep at the least budget, each run once: what differs only by its dataset becomes one."""
    runs = {run.run_id: run for run in map(_run, sweep.runs)}
    evaluations = {each.content_id: each for each in map(_evaluation, sweep.evaluations)}
    return sweep.replace(name=f"{sweep.name}-small", runs=tuple(runs.values()), evaluations=tuple(evaluations.values()))


def _run(run: Run) -> Run:
    generator = _generator(run)
    changes = {
        "dataset": SAMPLE,
        "resolution": RESOLUTION if generator is None else generator.resolution,
        "algorithm": _algorithm(run),
        "generator": generator,
        "images_per_class": min(run.images_per_class, 2),
        "backbone": _network(run.backbone),
        "held_out": min(run.held_out, 5),
        "snapshots": min(run.snapshots, 2),
        "checkpoint_every": 10,
        "schedule": run.schedule.replace(shares=()),
    }
    if generator is not None and run.init not in generator.inits:
        changes["init"] = None
    return run.replace(**changes)


def _algorithm(run: Run) -> AlgorithmSettings:
    """At its least budget, with a step for every layer of the space."""
    small = run.algorithm.small()
    if len(run.spaces) > 1 and isinstance(small, Matching):
        return small.replace(iterations=max(small.iterations, len(run.spaces)))
    return small


def _generator(run: Run) -> AnyGenerator | None:
    """A narrow random stem with as many layers; the same for the same prior, another for another."""
    generator = run.generator
    if generator is None or isinstance(generator, CustomGenerator):
        return generator
    layers = len(generator.spaces) - 2 if generator.known else run.layer or 0
    return RandomStyleGAN(
        resolution=RESOLUTION,
        image_channels=1,
        num_layers=min(max(_FEWEST_LAYERS, layers), _MOST_LAYERS),
        channel_base=512,
        channel_max=8,
        w_dim=16,
        z_dim=16,
        seed=int(generator.content_id[:6], 16),
    )


def _network(network: Network) -> Network:
    return network if network.foreign else network.replace(width=network.architecture.small_width, depth=None)


def _evaluation(evaluation: Evaluation) -> Evaluation:
    networks = {network.key: network for network in map(_network, evaluation.networks)}
    looks = evaluation.looks and evaluation.looks.replace(epochs=1, repeats=1)
    return evaluation.replace(
        looks=looks,
        networks=tuple(networks.values()),
        repeats=1,
        epochs=2,
        whole_dataset_epochs=1,
        test_images=100,
        teacher=small_experts(evaluation.teacher, count=1, epochs=1),
    )
