"""Trainings that are made for CUDA graphs, on the CPU: nothing in a mini-batch looks at values, and the numbers are
those of other trainings. tests/gpu_rehearsal/test_captured.py has the graphs.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from glad_ray import machine
from glad_ray.averages import AveragedWeights
from glad_ray.captured import CapturedTraining, Kind, can_be_captured
from glad_ray.networks import Ensemble, build_network, fuse, vit
from glad_ray.optimisers.sgd import SGD
from glad_ray.spec import Network
from glad_ray.spec.images.augmentation import OPERATIONS
from glad_ray.spec.networks import NETWORK_NAMES
from glad_ray.training import train_epoch

DSA = "_".join(OPERATIONS)
SEQUENTIAL = "sequential:flip_color_scale_rotate_cutout"


def network_of(name, norm="instancenorm"):
    spec = Network(name=name, width=8, norm=norm)
    return build_network(spec, channels=1, resolution=32, classes=2, rng=torch.Generator().manual_seed(0))


def training_of(network, images, labels, batch_size=256, augmentation=DSA):
    optimiser, averages = SGD(network.parameters(), 0.01, 0.9, 5e-4), AveragedWeights(network)
    made = CapturedTraining(
        network, optimiser, averages, images, labels, batch_size=batch_size, augmentation=augmentation
    )
    return made, averages


@pytest.fixture
def forms_for_gpus(monkeypatch):
    monkeypatch.setattr(machine, "few_operations_are_fast", lambda device: True)
    monkeypatch.setattr(vit, "fused_is_fast_for", lambda tokens: True)


@pytest.mark.parametrize(
    ("name", "operations"),
    [("convnet", (*OPERATIONS, None)), *((name, ("crop",)) for name in NETWORK_NAMES if name != "convnet")],
)
def test_nothing_in_a_mini_batch_looks_at_values(name, operations, forms_for_gpus):
    """Tensors have shapes and no values; whatever asked for one would raise."""
    network = network_of(name)
    fuse(network)
    training, _ = training_of(network, torch.zeros(4, 1, 32, 32), torch.zeros(4, dtype=torch.int64))
    with FakeTensorMode(allow_non_fake_inputs=True):
        for operation in operations:
            training.advance(Kind(4, operation, last=True))
        with pytest.raises(DataDependentOutputException):
            training.numbers[4].rate.item()


@pytest.mark.parametrize("name", ["convnet", "vit"])
def test_nothing_in_a_mini_batch_of_several_networks_looks_at_values(name, forms_for_gpus, monkeypatch):
    # No rule of `torch.vmap` has the operation that a CPU has for it; those of GPUs have one.
    monkeypatch.setattr(vit, "fused_is_fast_for", lambda tokens: False)
    training, _ = training_of(Ensemble([network_of(name)] * 2), torch.zeros(4, 1, 32, 32), torch.zeros(4).long())
    with FakeTensorMode(allow_non_fake_inputs=True):
        training.advance(Kind(4, DSA, last=True))


def test_nothing_in_a_sequential_augmentation_looks_at_values(forms_for_gpus):
    images, labels = torch.zeros(4, 1, 32, 32), torch.zeros(4, dtype=torch.int64)
    training, _ = training_of(network_of("convnet"), images, labels, augmentation=SEQUENTIAL)
    with FakeTensorMode(allow_non_fake_inputs=True):
        training.advance(Kind(4, "sequential:flip_color_scale_cutout", last=True))


@pytest.mark.parametrize(
    ("name", "norm", "augmentation"),
    [
        ("convnet", "instancenorm", DSA),
        ("convnet", "batchnorm", DSA),
        ("vit", "none", DSA),
        ("convnet", "instancenorm", SEQUENTIAL),
    ],
)
@pytest.mark.parametrize("labels", [torch.arange(5) % 2, torch.eye(2)[torch.arange(5) % 2] * 0.8 + 0.1])
def test_the_numbers_are_those_of_an_epoch_without_graphs(name, norm, augmentation, labels):
    images = torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    network, twin = (network_of(name, norm if name == "convnet" else "instancenorm") for _ in range(2))
    training, averages = training_of(network, images, labels, batch_size=3, augmentation=augmentation)
    optimiser, means = SGD(twin.parameters(), 0.01, 0.9, 5e-4), AveragedWeights(twin)
    rng, other = (torch.Generator().manual_seed(2) for _ in range(2))
    for rate, weight in ((0.01, 1.0), (0.0123456789, 0.5), (0.02, 0.005)):
        # Without a GPU nothing is captured: each kind of mini-batch is as new.
        training._seen.clear()
        training.epoch(rate, weight, [rng])
        optimiser.lr = rate
        expected = train_epoch(
            twin, optimiser, lambda index: images[index], labels, batch_size=3, augmentation=augmentation, rng=other
        )
        means.update(weight)
        assert training.read_losses()[0] == pytest.approx([expected], rel=1e-6)
    for ours, theirs in zip(network.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(averages.network.state_dict().values(), means.network.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "augmentation"), [("convnet", DSA), ("vit", DSA), ("convnet", SEQUENTIAL)])
def test_the_numbers_of_several_networks_are_those_of_each(name, augmentation, forms_for_gpus, monkeypatch):
    monkeypatch.setattr(vit, "fused_is_fast_for", lambda tokens: False)
    images, labels = torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(1)), torch.arange(5) % 2
    spec = Network(name=name, width=8)

    def networks():
        rngs = [torch.Generator().manual_seed(number) for number in range(3)]
        return [build_network(spec, channels=1, resolution=32, classes=2, rng=rng) for rng in rngs], rngs

    def trained(network, rngs):
        training, averages = training_of(network, images, labels, batch_size=3, augmentation=augmentation)
        for rate, weight in ((0.01, 1.0), (0.02, 0.5)):
            training._seen.clear()
            training.epoch(rate, weight, rngs)
        losses = torch.tensor(training.read_losses())
        return losses, averages.network.networks() if len(rngs) > 1 else [averages.network]

    found, rngs = networks()
    losses, together = trained(Ensemble(found), rngs)
    for number, (network, rng) in enumerate(zip(*networks(), strict=True)):
        own, (alone,) = trained(network, [rng])
        torch.testing.assert_close(losses[:, number], own[:, 0], rtol=1e-5, atol=0)
        for ours, theirs in zip(together[number].parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_training_on_a_cpu_is_not_captured():
    assert not can_be_captured(torch.zeros(2, 1, 32, 32), network_of("convnet"))
