"""How many operations each kind of work gives a GPU, a lower bound of the kernels it launches: at most so many.

Each takes a GPU some ten microseconds, however small it is. A failure lists the lines of the package that ask for most.
Of steps sizes alone count: nothing is computed.
"""

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.captured import CapturedTraining
from glad_ray.evaluation import train_networks
from glad_ray.networks import Ensemble, build_network, fuse
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import DATM, DC, DM, MTT, Evaluation, Experts, Flatness, Network, Run
from glad_ray.spec.images.augmentation import DSA
from glad_ray.training import Batch, Extras, train_batch
from tests.gpu_rehearsal.gpu import PretendedGPU
from tests.gpu_rehearsal.large import Untrained, black_images

GPU = torch.device("cuda:0")
MATCHING_EXPERTS = {"synthetic_steps": 10, "expert_epochs": 1, "experts": Experts(count=1, epochs=2)}
STEPS = {
    "dc": (DC(iterations=2, outer_loops=1), 400),
    "dm": (DM(iterations=2), 145),
    "mtt": (MTT(iterations=2, **MATCHING_EXPERTS), 1490),
    "exact mtt": (MTT(iterations=2, gradient="exact", **MATCHING_EXPERTS), 1610),
    "datm": (
        DATM(iterations=2, batch_size=10, max_start_epoch=2, first_max_start_epoch=None, **MATCHING_EXPERTS),
        1690,
    ),
}
"""each with the operations of a step: 10 classes, 256 real images of each, one synthetic one of 32 pixels, a ConvNet of
width 128, 10 student steps"""
EPOCHS = {"convnet": 55, "alexnet": 57, "vgg11": 88, "resnet18": 167, "vit": 250}
"""the operations of an epoch of evaluation: 10 images of 32 pixels, in one batch"""
EPOCHS_OF_FIVE = {"convnet": 145, "alexnet": 158, "vgg11": 202, "resnet18": 250, "vit": 580}
"""the same of five repeats together"""

EXPERT_BATCH = {None: 100, Flatness(): 220}
"""the operations of a mini-batch of two experts in training, plain or towards flat minima"""


def assert_at_most(limit, launches, of=1):
    lines = "\n".join(f"{count / of:g} x glad_ray/{line}" for line, count in launches.most_common(40))
    assert launches.total() <= of * limit, f"{launches.total() / of:g}, not {limit}:\n{lines}"


@pytest.fixture(scope="module")
def images():
    return black_images(32)


@pytest.mark.parametrize("name", STEPS)
def test_a_step(name, images):
    settings, limit = STEPS[name]
    run = Run(algorithm=settings, dataset="cifar10", resolution=32, backbone=Network(width=128))
    labels = torch.arange(10)
    with PretendedGPU(sizes_only=True) as gpu:
        synthetic = torch.zeros(10, 3, 32, 32, device=GPU)
        algorithm = build_algorithm(run, images, Untrained(run) if run.expert_set else None, GPU)
        # Constants are uploaded in the first step.
        algorithm.match(synthetic, labels, 0, torch.tensor(0.01))
        before = gpu.launches.copy()
        algorithm.match(synthetic, labels, 1, torch.tensor(0.01))
    assert_at_most(limit, gpu.launches - before)


@pytest.mark.parametrize("flat", EXPERT_BATCH)
def test_a_batch_of_experts(flat):
    networks = [
        build_network(Network(width=8), channels=3, resolution=32, classes=10, rng=torch.Generator().manual_seed(0))
        for _ in range(2)
    ]
    with PretendedGPU() as gpu:
        for each in networks:
            fuse(each.to(GPU))
        experts = Ensemble(networks)
        optimiser = SGD(experts.parameters(), 0.01)
        images, labels = torch.zeros(16, 3, 32, 32, device=GPU), torch.zeros(16, dtype=torch.int64, device=GPU)
        batch = Batch(index=torch.arange(16).to(GPU), operation=None, uniforms=torch.zeros(16, 3))
        launches = []
        for _ in range(2):
            before = gpu.launches.copy()
            train_batch(experts, optimiser, images.__getitem__, labels, [batch] * 2, Extras(flat=flat))
            launches.append(gpu.launches - before)
    assert_at_most(EXPERT_BATCH[flat], launches[1])


@pytest.mark.parametrize(("name", "together"), [*((name, 1) for name in EPOCHS), *((name, 5) for name in EPOCHS)])
def test_an_epoch_of_an_evaluation(name, together, monkeypatch):
    # What its CUDA graph consists of, and what is there beside it (test_captured.py has the launches with graphs).
    monkeypatch.setattr(CapturedTraining, "_capture", lambda training, kind: training.advance(kind))
    launches, spec = [], Network(name=name, width=8)
    # Several together have a single kind of mini-batch.
    few, more = (2, 14) if together == 1 else (1, 2)
    for epochs in (few, more):
        rngs = [torch.Generator().manual_seed(number) for number in range(together)]
        networks = [build_network(spec, channels=3, resolution=32, classes=10, rng=rng) for rng in rngs]
        evaluation = Evaluation(epochs=epochs, augmentation=DSA)
        with PretendedGPU() as gpu:
            synthetic, labels = torch.zeros(10, 3, 32, 32).to(GPU), torch.arange(10).to(GPU)
            train_networks([each.to(GPU) for each in networks], synthetic, labels, evaluation, lr=0.01, rngs=rngs)
        launches.append(gpu.launches)
    limits = EPOCHS if together == 1 else EPOCHS_OF_FIVE
    assert_at_most(limits[name], launches[1] - launches[0], of=more - few)
