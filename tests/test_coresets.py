"""Coresets against their definitions, written out."""

import numpy as np
import pytest
import torch

from glad_ray.coresets import choose_images, herding, k_means
from glad_ray.errors import UserError
from glad_ray.spec import KMeans, RandomReal, Run


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
