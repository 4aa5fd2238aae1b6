"""What must hold on a GPU; skipped where there is none."""

import pytest
import torch

from glad_ray.algorithms import build_algorithm
from glad_ray.data import normalise, real_images
from glad_ray.evaluate import accuracy, train_network
from glad_ray.networks import build_network
from glad_ray.spec import DC, DM, Evaluation, Network, Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

GPU = torch.device("cuda")
BACKBONE = Network(width=16)


@pytest.mark.parametrize("algorithm", [DC(real_batch_size=16, outer_loops=1), DM(real_batch_size=16)])
def test_a_step_is_the_cpus(algorithm, sample):
    run = Run(algorithm=algorithm, resolution=32, backbone=BACKBONE)
    labels = torch.arange(10)
    images = real_images(sample, labels, torch.Generator().manual_seed(0)).double()
    outcomes = []
    for device in (torch.device("cpu"), GPU):
        step = build_algorithm(run, sample, None, device)
        outcomes.append(step.match(images.to(device), labels.to(device), 0, torch.tensor(0.0)))
    ours, theirs = outcomes
    torch.testing.assert_close(theirs.loss.cpu(), ours.loss, rtol=1e-8, atol=0)
    difference = (theirs.image_grads.cpu() - ours.image_grads).norm() / ours.image_grads.norm()
    assert float(difference) < 1e-8


def test_one_seed_the_same_accuracy_twice(sample):
    labels = torch.arange(10).repeat_interleave(5)
    images = real_images(sample, labels, torch.Generator().manual_seed(0)).to(GPU)
    evaluation = Evaluation(epochs=100, augmentation="color_crop_cutout_flip_scale_rotate")
    test_images = normalise(torch.tensor(sample.test_images, device=GPU), sample.mean, sample.std)
    scores = []
    for _ in range(2):
        rng = torch.Generator().manual_seed(0)
        network = build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=rng).to(GPU)
        averaged = train_network(network, images, labels.to(GPU), evaluation, lr=0.01, rng=rng)
        scores.append(accuracy(averaged, test_images, torch.tensor(sample.test_labels, device=GPU)))
    assert abs(scores[0] - scores[1]) <= 1e-3
