"""Batches of a single image: which networks cannot take one, and that those alone see other batches for it."""

import pytest
import torch

from glad_ray.algorithms.mtt import TrajectoryMatching
from glad_ray.data import load_dataset
from glad_ray.engine.checks import check_networks
from glad_ray.engine.remaining import remaining_work
from glad_ray.errors import UserError
from glad_ray.evaluation import accuracy
from glad_ray.experts import ExpertFiles, missing_experts, train_experts
from glad_ray.networks import (
    Ensemble,
    batch_sizes,
    build_network,
    check_network,
    flat_parameters_of_each,
    takes_one_image,
)
from glad_ray.plan import make_plan, plan_experts
from glad_ray.spec import DC, DM, MTT, Evaluation, Experts, ExpertSet, Network, RandomReal, Run, Sweep
from glad_ray.training import train_epoch, train_epoch_together

OURS = "tests.networks.other_networks"
SHRINKING = Network(name="resnet18", width=4, norm="batchnorm")
"""its last maps are one pixel at up to 8 pixels"""
POOLED = Network(name=f"{OURS}:normalises_means")
SQUEEZING = Network(name=f"{OURS}:squeezes")

NETWORKS = {
    "convnet": (Network(width=4), 8, True),
    "convnet batchnorm": (Network(width=4, norm="batchnorm"), 8, True),
    "vgg11 batchnorm": (Network(name="vgg11", width=4, norm="batchnorm"), 32, True),
    "vit": (Network(name="vit", width=32), 8, True),
    "resnet18 at 16 pixels": (SHRINKING, 16, True),
    "resnet18 at 8 pixels": (SHRINKING, 8, False),
    "norm of maps": (Network(name=f"{OURS}:small"), 8, True),
    "norm of means": (POOLED, 8, False),
    "squeezing": (SQUEEZING, 8, False),
    "torchvision at 32 pixels": (Network(name="torchvision.models:resnet18"), 32, False),
    "torchvision at 64 pixels": (Network(name="torchvision.models:resnet18"), 64, True),
}


def build(spec, resolution, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return build_network(spec, channels=1, resolution=resolution, classes=10, rng=rng)


def state(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_cannot_take_one_image_are_known(name):
    spec, resolution, able = NETWORKS[name]
    network = build(spec, resolution)
    before = state(network)
    assert takes_one_image(network, torch.zeros(1, 1, resolution, resolution)) is able
    assert torch.equal(state(network), before)
    size = {"channels": 1, "resolution": resolution, "classes": 10}
    check_network(spec, **size)
    if able:
        check_network(spec, **size, smallest_batch=1)
    else:
        with pytest.raises(UserError, match="single image"):
            check_network(spec, **size, smallest_batch=1)


@pytest.mark.parametrize(
    ("images", "size", "merged"),
    [(257, 256, [257]), (10, 3, [3, 3, 4]), (3, 2, [3]), (256, 256, [256]), (10, 4, [4, 4, 2]), (5, 9, [5])],
)
def test_a_single_image_left_over_joins_the_batch_before_it(images, size, merged):
    def image():
        return torch.zeros(1, 1, 8, 8)

    assert batch_sizes(build(POOLED, 8), image, images, size) == merged
    whole = [size] * (images // size) + [images % size] * (images % size > 0)
    assert batch_sizes(build(Network(width=4), 8), image, images, size) == whole


@pytest.mark.parametrize(("images", "size"), [(1, 256), (4, 1), (1, 1)])
def test_batches_of_single_images_alone_are_refused(images, size):
    with pytest.raises(UserError, match="batch size of 2 or more"):
        batch_sizes(build(POOLED, 8), lambda: torch.zeros(1, 1, 8, 8), images, size)
    sizes = batch_sizes(build(Network(width=4), 8), lambda: torch.zeros(1, 1, 8, 8), images, size)
    assert sizes == [1] * images


def seen_batches(network, images, labels, size):
    """Sizes of the batches of an epoch, of which the first is whole."""
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    rng = torch.Generator().manual_seed(3)
    train_epoch(network, optimiser, lambda index: images[index], labels, batch_size=size, augmentation="", rng=rng)
    # Copies of the network that were tried with one image, and with two, have told of those first.
    return seen[seen.index(size) :]


@pytest.mark.parametrize(("spec", "batches"), [(POOLED, [3, 3, 4]), (Network(width=4, norm="batchnorm"), [3, 3, 3, 1])])
def test_an_epoch_merges_only_where_it_would_fail(spec, batches):
    images, labels = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(10)
    network = build(spec, 8)
    assert seen_batches(network, images, labels, 3) == batches
    assert bool(state(network).isfinite().all())


def test_an_ensemble_merges_as_each_of_its_networks_does():
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(5)

    def train(network, rngs):
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
        get = images.__getitem__
        train_epoch_together(network, optimiser, get, labels, batch_size=2, augmentation="", rngs=rngs)
        return flat_parameters_of_each(network, len(rngs))

    rngs = [torch.Generator().manual_seed(number) for number in (3, 4)]
    together = train(Ensemble([build(SHRINKING, 8, seed).double() for seed in (0, 1)]), rngs)
    alone = [train(build(SHRINKING, 8, n).double(), [torch.Generator().manual_seed(3 + n)]) for n in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-10)


def test_testing_merges_too():
    network = build(SQUEEZING, 8)
    assert 0 <= accuracy(network, torch.zeros(257, 1, 8, 8), torch.zeros(257, dtype=torch.int64)) <= 1


def run(algorithm, **fields):
    return Run(algorithm=algorithm, resolution=8, **fields)


@pytest.mark.parametrize(
    ("run", "evaluation", "refused"),
    [
        (run(DC(iterations=1), backbone=SHRINKING), {}, True),
        (run(DC(iterations=1), backbone=SHRINKING, images_per_class=2), {}, False),
        (run(DC(iterations=1, real_batch_size=1), backbone=SHRINKING, images_per_class=2), {}, True),
        (run(DM(iterations=1), backbone=SHRINKING), {}, False),
        (run(MTT(iterations=1, batch_size=1), backbone=SHRINKING), {}, True),
        (run(MTT(iterations=1, batch_size=3), backbone=SHRINKING), {}, False),
        (run(MTT(iterations=1, experts=Experts(batch_size=1)), backbone=SHRINKING), {}, True),
        (run(RandomReal()), {"networks": [SHRINKING], "batch_size": 1}, True),
        (run(RandomReal()), {"networks": [SHRINKING], "batch_size": 3}, False),
        (run("whole"), {"networks": [SHRINKING], "batch_size": 1}, True),
    ],
)
def test_what_would_meet_single_images_is_refused_before_anything_starts(run, evaluation, refused, storage):
    plan = make_plan(Sweep(name="one", runs=[run], evaluations=Evaluation(**{"networks": ["convnet"]} | evaluation)))
    if not refused:
        check_networks(plan, remaining_work(plan, storage))
        return
    with pytest.raises(UserError, match="single image"):
        check_networks(plan, remaining_work(plan, storage))


def test_experts_and_students_with_one_image_left_over(storage):
    dataset = load_dataset("fashion-mnist-sample", resolution=8, held_out=389)  # 11 images a class are left
    experts = Experts(count=1, epochs=1, batch_size=109)  # 110 images
    mtt = MTT(iterations=1, synthetic_steps=4, expert_epochs=1, max_start_epoch=1, batch_size=3, experts=experts)
    made = run(mtt, backbone=SHRINKING, held_out=389)
    which = made.expert_set
    assert isinstance(which, ExpertSet)
    check_networks(plan_experts(which), remaining_work(plan_experts(which), storage))
    train_experts(which, [0], dataset, storage, device="cpu", on_epoch=lambda *at: None)
    assert missing_experts(storage, which) == []
    matching = TrajectoryMatching(made, dataset, ExpertFiles(storage, which), torch.device("cpu"))
    images = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    match = matching.match(images, torch.arange(10), 0, torch.tensor(0.01))
    assert bool(match.image_grads.isfinite().all())


def test_instance_norm_over_single_pixels_is_refused():
    with pytest.raises(UserError, match="use 9 or more"):
        check_network(Network(name="resnet18"), channels=3, resolution=8, classes=10)
    check_network(Network(name="resnet18"), channels=3, resolution=9, classes=10)
