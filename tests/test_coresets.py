"""Coresets against their definitions, written out."""

import numpy as np
import pytest
import torch

from glad_ray.coresets import choose, choose_images
from glad_ray.coresets.el2n import error_norms
from glad_ray.coresets.herding import herding
from glad_ray.coresets.k_center import k_center
from glad_ray.coresets.k_means import k_means
from glad_ray.data import network_inputs
from glad_ray.errors import UserError
from glad_ray.networks import build_network
from glad_ray.spec import EL2N, KMeans, Network, RandomReal, Run


def test_herding_is_greedy():
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).double()
    expected: list[int] = []
    for _ in range(12):
        left = [i for i in range(30) if i not in expected]
        errors = [float((features[[*expected, i]].mean(0) - features.mean(0)).norm()) for i in left]
        expected.append(left[int(np.argmin(errors))])
    assert herding(features, 12).tolist() == expected
    assert sorted(herding(features, 30).tolist()) == list(range(30))


def test_herding_of_one_is_nearest_to_the_mean():
    features = torch.tensor([[0.0], [1.0], [2.0], [10.0]]).double()
    assert herding(features, 1).tolist() == [2]


def test_k_means_takes_the_middle_of_every_cluster():
    rng = torch.Generator().manual_seed(0)
    middles = 100 * torch.eye(5).double()
    spread = torch.randn(5, 20, 5, generator=rng).double()
    # The first of every cluster is its mean, as near as can be.
    spread[:, 0] = 0
    spread[:, 1:] -= spread[:, 1:].mean(1, keepdim=True)
    features = (middles[:, None] + spread).flatten(0, 1)
    order = torch.randperm(100, generator=rng)
    chosen = k_means(features[order], 5, torch.Generator().manual_seed(1))
    assert sorted(order[chosen].tolist()) == [0, 20, 40, 60, 80]
    assert sorted(k_means(features, 100, rng).tolist()) == list(range(100))


def test_draws_follow_from_the_rng(sample):
    def draw(seed, algorithm):
        run = Run(algorithm=algorithm, resolution=32, held_out=10, images_per_class=3)
        rng = torch.Generator().manual_seed(seed)
        return choose_images(run, sample, None, rng, torch.device("cpu"))

    assert torch.equal(draw(0, RandomReal()), draw(0, RandomReal()))
    assert not torch.equal(draw(0, RandomReal()), draw(1, RandomReal()))
    assert torch.equal(draw(0, KMeans(features=None)), draw(0, KMeans(features=None)))


def test_more_images_than_there_are(sample):
    run = Run(algorithm=RandomReal(), resolution=32, held_out=10, images_per_class=391)
    with pytest.raises(UserError, match="has 390 training images, and images_per_class is 391: use 390 or fewer"):
        choose_images(run, sample, None, torch.Generator(), torch.device("cpu"))


def test_k_center_is_greedy():
    features = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)).double()
    expected = [int(np.argmin([float((row - features.mean(0)).norm()) for row in features]))]
    while len(expected) < 12:
        nearest = [min(float((features[i] - features[j]).norm()) for j in expected) for i in range(30)]
        expected.append(int(np.argmax(nearest)))
    assert k_center(features, 12).tolist() == expected
    assert sorted(k_center(features, 30).tolist()) == list(range(30))
    assert sorted(k_center(torch.zeros(4, 2).double(), 4).tolist()) == [0, 1, 2, 3]


def test_error_norms_by_hand():
    probabilities = torch.tensor([[[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    expected = [((0.3**2 + 0.2**2 + 0.1**2) ** 0.5 + 0) / 2, (2**0.5 + 0) / 2]
    torch.testing.assert_close(error_norms(probabilities, 0), torch.tensor(expected))


@pytest.mark.parametrize("take", ["hardest", "easiest"])
def test_el2n_takes_the_ends_of_its_scores(sample, take):
    run = Run(algorithm=EL2N(take=take), resolution=32, images_per_class=5)
    networks = [
        build_network(Network(width=4), channels=1, resolution=32, classes=10, rng=torch.Generator().manual_seed(seed))
        for seed in range(2)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choose, "trained_networks", lambda trajectories, images: [each.eval() for each in networks])
        chosen = choose_images(run, sample, object(), torch.Generator(), torch.device("cpu"))
    for label, members in enumerate(sample.class_indices):
        inputs = network_inputs(sample.train_images[members], sample)
        with torch.no_grad():
            outputs = [network(inputs).double().softmax(1) for network in networks]
        scores = sum((each - torch.eye(10)[label]).square().sum(1).sqrt() for each in outputs)
        order = scores.argsort(descending=take == "hardest")[:5]
        assert torch.equal(chosen[5 * label : 5 * label + 5], inputs[order])
