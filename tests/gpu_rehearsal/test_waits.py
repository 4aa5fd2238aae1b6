"""How often the CPU waits for the GPU in each kind of work, which leaves a GPU idle: at most so often.

A failure lists the lines of the package that wait.
"""

from itertools import pairwise

import pytest
import torch

from glad_ray.augment import OPERATIONS
from glad_ray.captured import CapturedTraining
from glad_ray.data import by_index, real_images
from glad_ray.evaluation import accuracy, train_network
from glad_ray.experts import train_experts
from glad_ray.networks import build_network
from glad_ray.spec import Evaluation, Flatness
from glad_ray.storage import Storage
from tests.gpu_rehearsal import runs
from tests.gpu_rehearsal.gpu import PretendedGPU

GPU = torch.device("cuda:0")
OF_A_STEP = {
    "dc": 1,
    "dc with loops in f2": 3,
    "dm": 1,
    "dm in w+": 1,
    "dm in f3, learning a file": 1,
    "dm in layers": 1,
    "dm in an autoencoder": 1,
    "dm in a generator of one's own": 1,
    "mtt": 1,
    "mtt with soft labels in w+": 1,
    "idc": 1,
    "exact mtt": 1,
    "datm": 1,
    "ncfm": 1,
    "ncfm in turn in w+": 1,
}
OF_AN_EPOCH, OF_A_TEST, OF_AN_EXPERT_BATCH = 0, 1, 1


def listed(waits):
    """One line for each that waits."""
    return "\n".join(f"{count} x {how}: glad_ray/{line}" for (how, line), count in waits.most_common())


def assert_at_most(limit, waits):
    assert waits.total() <= limit, f"{waits.total()} waits, not {limit}:\n{listed(waits)}"


def waits_of_steps(run, dataset, experts, storage, *, keep_graph=True):
    """The waits of each step of a run, with what is written after it."""
    with PretendedGPU() as gpu:
        so_far = [gpu.waits.copy()]
        runs.distil(
            run, dataset, experts, storage, lambda progress: so_far.append(gpu.waits.copy()), keep_graph=keep_graph
        )
    return [after - before for before, after in pairwise(so_far)]


@pytest.mark.parametrize("name", runs.DISTILLED)
def test_a_step(name, sample, experts, storage):
    # Constants are uploaded in the first step, and the set is written after the last.
    _, *waits, _ = waits_of_steps(runs.DISTILLED[name], sample, experts, storage)
    for each in waits:
        assert_at_most(OF_A_STEP[name], each)


def test_a_step_of_a_generator_that_decodes_again_for_its_gradients(sample, experts, storage):
    name = "dm in w+"
    _, *waits, _ = waits_of_steps(runs.DISTILLED[name], sample, experts, storage, keep_graph=False)
    for each in waits:
        assert_at_most(OF_A_STEP[name], each)


def test_a_step_of_more_student_steps_and_images(sample, experts, storage):
    run = runs.DISTILLED["mtt"]
    more = run.replace(
        algorithm=run.algorithm.replace(iterations=3, synthetic_steps=10, batch_size=None), images_per_class=2
    )
    _, waits, _ = waits_of_steps(more, sample, experts, storage)
    assert_at_most(OF_A_STEP["mtt"], waits)


def evaluated(dataset, epochs, gpu):
    """A network trained for some epochs of two mini-batches each, and the waits of that."""
    labels = torch.arange(10).repeat_interleave(2)
    images = real_images(dataset, labels, torch.Generator().manual_seed(0)).to(GPU)
    evaluation = Evaluation(epochs=epochs, batch_size=10, augmentation="_".join(OPERATIONS))
    rng = torch.Generator().manual_seed(0)
    network = build_network(runs.BACKBONE, channels=1, resolution=32, classes=10, rng=rng).to(GPU)
    with gpu.counted() as waits:
        averaged = train_network(network, images, labels.to(GPU), evaluation, lr=0.01, rng=rng)
    return averaged, waits


def test_an_epoch_of_an_evaluation(sample, monkeypatch):
    # Graphs wait when they are made, and not later (test_captured.py).
    monkeypatch.setattr(CapturedTraining, "_capture", lambda training, kind: training.advance(kind))
    with PretendedGPU() as gpu:
        _, few = evaluated(sample, 2, gpu)
        _, many = evaluated(sample, 5, gpu)
    assert_at_most(3 * OF_AN_EPOCH, many - few)


def test_a_test_on_a_whole_test_set(sample):
    with PretendedGPU() as gpu:
        network, _ = evaluated(sample, 1, gpu)
        images, labels = by_index(sample.test_images, sample, GPU), torch.tensor(sample.test_labels, device=GPU)
        images(torch.arange(1))
        with gpu.counted() as waits:
            accuracy(network, images, labels)
    assert_at_most(OF_A_TEST, waits)


@pytest.mark.parametrize("flat", [None, Flatness()], ids=["plain", "flat"])
def test_a_batch_of_experts(flat, sample, tmp_path):
    waits, batches = [], []
    for size in (1000, 250):
        experts = runs.EXPERTS.replace(epochs=1, batch_size=size, flat=flat)
        expert_set = runs.DISTILLED["mtt"].expert_set.replace(experts=experts)
        with PretendedGPU() as gpu:
            storage = Storage.open(tmp_path / str(size))
            train_experts(expert_set, [0, 1], sample, storage, device="cuda:0", on_epoch=lambda expert, epoch: None)
        waits.append(gpu.waits)
        batches.append(-(-len(sample.train_labels) // size))
    assert_at_most((batches[1] - batches[0]) * OF_AN_EXPERT_BATCH, waits[1] - waits[0])
