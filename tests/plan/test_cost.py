"""The estimates against the operations that the algorithms, generators and trainings really do."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from glad_ray.algorithms import build_algorithm
from glad_ray.data import by_index, load_dataset, real_images, test_subset
from glad_ray.evaluation import accuracy, train_network
from glad_ray.experts import train_experts
from glad_ray.feature_distance import FeatureDistance
from glad_ray.generators import GeneratorSpace, build_generator
from glad_ray.networks import build_network, flat_parameters
from glad_ray.plan.cost import GIGAFLOPS_PER_CPU, estimate, expert_flops, network_multiply_adds, seconds
from glad_ray.spec import (
    DATM,
    DC,
    DM,
    IDC,
    MTT,
    NCFM,
    Evaluation,
    Experts,
    Flatness,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    dataset_facts,
)

BACKBONE = Network(width=16)
EVALUATION = Evaluation(networks=(BACKBONE, Network(name="vit", width=32)), repeats=3, epochs=2, test_images=50)
EXPERTS = Experts(count=2, epochs=3)
ALGORITHMS = {
    "dm": DM(iterations=3, real_batch_size=12),
    "dm, batch above the class": DM(iterations=3, real_batch_size=256),
    "dc": DC(iterations=3, real_batch_size=12, outer_loops=1),
    "dc, loops": DC(iterations=2, real_batch_size=4, outer_loops=3, inner_loops=4),
    "dc, squared": DC(iterations=2, real_batch_size=4, outer_loops=1, matching="squared"),
    "dm, clustered": DM(iterations=10, real_batch_size=3, real_batches="clustered"),
    "idc": IDC(iterations=2, inner_steps=3, real_batch_size=12, network_images=24),
    "idc, features too": IDC(iterations=1, inner_steps=1, real_batch_size=12, matched="both"),
    "idc, features": IDC(iterations=1, inner_steps=2, real_batch_size=12, network_images=12, matched="features"),
    "idc, in turn": IDC(iterations=1, inner_steps=2, real_batch_size=12, network_images=24, classes="in turn"),
    "idc, trained before": IDC(iterations=1, inner_steps=1, real_batch_size=12, network_epochs=2),
    "mtt": MTT(iterations=2, synthetic_steps=3, experts=EXPERTS),
    "mtt, batches": MTT(iterations=2, synthetic_steps=5, batch_size=7, experts=EXPERTS),
    "mtt, exact": MTT(iterations=2, synthetic_steps=3, gradient="exact", experts=EXPERTS),
    "datm": DATM(iterations=2, synthetic_steps=3, max_start_epoch=2, labels="hard", experts=EXPERTS),
    "ncfm": NCFM(iterations=3, real_batch_size=12, frequencies=64, experts=EXPERTS),
    "ncfm, matching alone": NCFM(
        iterations=3, real_batch_size=12, sampling="gaussian", frequencies=64, calibration=0, experts=EXPERTS
    ),
}


class Counter(TorchDispatchMode):
    """Floating-point operations of convolutions and matrix products, gradients of gradients included."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


class SomeTrajectories:
    """Parameters that are those of no training: their values cost nothing."""

    expert_set = None

    def segment(self, expert, start_epoch, epochs):
        def parameters(seed):
            rng = torch.Generator().manual_seed(seed)
            return flat_parameters(build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=rng)).detach()

        return parameters(1), parameters(2)

    def expect(self, expert, start_epoch, epochs):
        pass


@pytest.fixture(scope="module")
def few():
    """Fifteen training images a class."""
    return load_dataset("fashion-mnist-sample", resolution=32, held_out=385)


def _run(algorithm, **changes):
    return Run(algorithm=algorithm, resolution=32, backbone=BACKBONE, held_out=385, images_per_class=2, **changes)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_distillation(name, few):
    run = _run(ALGORITHMS[name], formation=1)
    algorithm = build_algorithm(run, few, SomeTrajectories(), torch.device("cpu"))
    labels = torch.arange(10).repeat_interleave(run.training_images_per_class)
    images = real_images(few, labels, torch.Generator().manual_seed(0))
    with Counter() as counter:
        for step in range(run.steps):
            label = run.algorithm.class_of_step(step, 10)
            seen = labels >= 0 if label is None else labels == label
            algorithm.match(images[seen], labels[seen], step, torch.tensor(0.01))
    # The estimate takes the first layer, which passes no gradient on, for one like the others: 10 % at this width.
    assert estimate(run, [EVALUATION]).distill_flops == pytest.approx(counter.flops, rel=0.1)


@pytest.mark.parametrize("space", ["w+", "f1", "f5"])
def test_generator(space, few):
    settings = RandomStyleGAN(image_channels=1, num_layers=5, channel_base=256, channel_max=16, w_dim=16, z_dim=8)
    run = _run(DM(iterations=1, real_batch_size=12), space=space, generator=settings)
    here = GeneratorSpace(build_generator(settings), space, init="sampled", mean=few.mean, std=few.std)
    latents = here.init(torch.arange(10).repeat_interleave(2), torch.Generator().manual_seed(0))
    with Counter() as counter:
        images = here.decode(latents)
        here.pullback(latents, torch.ones_like(images))
    pixel = estimate(_run(run.algorithm), [EVALUATION]).distill_flops
    assert estimate(run, [EVALUATION]).distill_flops - pixel == pytest.approx(counter.flops, rel=0.05)


def test_a_space_of_layers_costs_what_each_does_for_its_steps():
    settings = RandomStyleGAN(image_channels=1, num_layers=5, channel_base=256, channel_max=16, w_dim=16, z_dim=8)
    steps = {"w+": 2, "f1": 3, "f5": 5}
    runs = {space: _run(DM(iterations=count), space=space, generator=settings) for space, count in steps.items()}
    run = _run(DM(iterations=10), space=">".join(steps), generator=settings)
    run = run.replace(schedule={"shares": tuple(steps.values()), "choice": "last"})
    assert run.last_steps == (2, 5, 10)
    apart = sum(estimate(each, []).distill_flops for each in runs.values())
    assert estimate(run, []).distill_flops == pytest.approx(apart, rel=1e-6)


@pytest.mark.parametrize("distance", ["common", "released"])
def test_choosing_what_a_layer_leaves(distance, few):
    settings = RandomStyleGAN(image_channels=1, num_layers=5, channel_base=256, channel_max=16, w_dim=16, z_dim=8)
    run = _run(DM(iterations=4, real_batch_size=12), space="f1>f5", generator=settings)
    run = run.replace(schedule={"distance": distance})
    made, labels = FeatureDistance(run, few, torch.device("cpu")), torch.arange(10).repeat_interleave(2)
    with Counter() as counter:
        for layer, steps in ((0, (0, 1, 2)), (1, (2, 3, 4))):
            for step in steps:
                made.of(torch.zeros(20, 1, 32, 32), labels, layer, step)
    extra = estimate(run, []).distill_flops - estimate(run.replace(schedule={"choice": "last"}), []).distill_flops
    assert extra == pytest.approx(counter.flops, rel=0.1)


@pytest.mark.parametrize("space", ["pixel", "f1"])
def test_whitening(space):
    generator = None
    if space == "f1":
        generator = RandomStyleGAN(image_channels=1, num_layers=5, channel_base=256, channel_max=16, w_dim=16, z_dim=8)
    run = _run(DM(iterations=1, real_batch_size=12), space=space, generator=generator)
    costs = [estimate(each, [EVALUATION]) for each in (run, run.replace(whitening="zca"))]
    # 12 real images of each of 10 classes; 20 synthetic ones that a generator makes, forward and back.
    images = 120 + (40 if generator else 0)
    assert costs[1].distill_flops - costs[0].distill_flops == pytest.approx(2 * images * 1024**2)
    tested = EVALUATION.test_images + 3850
    trainings = len(EVALUATION.networks) * EVALUATION.repeats
    assert costs[1].evaluate_flops - costs[0].evaluate_flops == pytest.approx(2 * trainings * tested * 1024**2)


def test_random_real_images_cost_nothing_to_draw():
    cost = estimate(_run(RandomReal()), [EVALUATION])
    assert cost.distill_flops == 0
    assert cost.evaluate_flops > 0


@pytest.mark.parametrize("snapshots", [1, 3])
def test_evaluation(snapshots, few):
    run = _run(ALGORITHMS["dm"], snapshots=snapshots)
    labels = torch.arange(10).repeat_interleave(2)
    images = real_images(few, labels, torch.Generator().manual_seed(0))
    held_out = few.held_out_images, few.held_out_labels
    with Counter() as counter:
        for network in EVALUATION.networks:
            rng = torch.Generator().manual_seed(0)
            built = build_network(network, channels=1, resolution=32, classes=10, rng=rng)
            averaged = train_network(built, images, labels, EVALUATION.decided_for(run), lr=0.01, rng=rng)
            for real, truth in (test_subset(few, EVALUATION.test_images), held_out):
                accuracy(averaged, by_index(real, few), torch.tensor(truth))
    expected = counter.flops * EVALUATION.repeats * snapshots
    assert estimate(run, [EVALUATION]).evaluate_flops == pytest.approx(expected, rel=0.05)


def test_a_teacher_that_is_asked_at_every_step_is_counted():
    run = _run(RandomReal())
    hard, online = (EVALUATION.replace(labels=labels, teacher=Experts(count=3)) for labels in ("hard", "online"))
    costs = [estimate(run, [evaluation]).evaluate_flops for evaluation in (hard, online)]
    asked = 3 * EVALUATION.epochs * 20 * 2 * network_multiply_adds(BACKBONE, dataset_facts(run.dataset), 32)
    trainings = len(EVALUATION.networks) * EVALUATION.repeats
    assert costs[1] - costs[0] == pytest.approx(trainings * asked)


def test_all_test_images_are_counted_unless_fewer_are_asked_for():
    run = _run(RandomReal())
    every, some = (estimate(run, [EVALUATION.replace(test_images=n)]).evaluate_flops for n in (None, 50))
    facts = dataset_facts(run.dataset)
    per_image = sum(2 * network_multiply_adds(network, facts, 32) for network in EVALUATION.networks)
    assert every - some == pytest.approx(EVALUATION.repeats * (1000 - 50) * per_image)


def test_a_foreign_network_is_not_counted():
    network = Network(name="torchvision.models:resnet50")
    assert network.foreign  # what a plan goes by when it says so
    assert network_multiply_adds(network, dataset_facts("fashion-mnist"), 32) == 0


def test_a_dataset_gives_channels_and_classes():
    network = Network(name="vit")
    counted = network_multiply_adds(network, dataset_facts("fashion-mnist"), 32)
    assert counted == network.shape(channels=1, resolution=32, classes=10).multiply_adds


@pytest.mark.parametrize("flat", [None, pytest.param(Flatness(), marks=pytest.mark.full)])
def test_experts(flat, few, storage):
    run = _run(ALGORITHMS["mtt"].replace(experts=EXPERTS.replace(flat=flat)))
    with Counter() as counter:
        for index in range(EXPERTS.count):
            train_experts(run.expert_set, [index], few, storage, device="cpu", on_epoch=lambda expert, epoch: None)
    assert expert_flops(run.expert_set) == pytest.approx(counter.flops, rel=0.1)


def test_seconds():
    assert seconds(3e12, 100.0) == 30
    assert seconds(1e9 * GIGAFLOPS_PER_CPU) == 1
