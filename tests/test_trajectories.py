"""What trained networks say: class probabilities and features, and what is trained on them."""

import pytest
import torch

from glad_ray.algorithms.mtt import TrajectoryMatching
from glad_ray.errors import UserError
from glad_ray.evaluation import learning_rate_factor, train_network
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import DM, MTT, Evaluation, Experts, Network, Run
from glad_ray.trajectories import class_probabilities, features

BACKBONE = Network(width=4)


class Fresh:
    """Trajectories of networks that were never trained."""

    def __init__(self, count):
        run = Run(algorithm=DM(), resolution=32, backbone=BACKBONE)
        self.expert_set = run.experts_of(Experts(count=count, epochs=2))
        self.networks = [
            build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=torch.Generator().manual_seed(seed))
            for seed in range(count)
        ]

    def segment(self, expert, start_epoch, epochs):
        assert (start_epoch, epochs) == (2, 0), "the last snapshot is asked for"
        flat = flat_parameters(self.networks[expert])
        return flat, flat


def test_class_probabilities_and_features():
    images = torch.randn(300, 1, 32, 32, generator=torch.Generator().manual_seed(7))
    fresh = Fresh(2)
    expected = torch.stack([network(images).softmax(1) for network in fresh.networks]).mean(0)
    probabilities = class_probabilities(fresh, images)
    torch.testing.assert_close(probabilities, expected.detach())
    torch.testing.assert_close(probabilities.sum(1), torch.ones(300))
    expected = torch.cat([network.embed(images) for network in fresh.networks], 1)
    torch.testing.assert_close(features(fresh, images), expected.detach())


class Recorded:
    """The trajectories of a network that stays where it is, and what is said to them."""

    def __init__(self, run):
        self.expert_set, self.said = run.expert_set, []
        self.flat = flat_parameters(
            build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=torch.Generator().manual_seed(0))
        )

    def segment(self, *of):
        self.said.append(("segment", *of))
        return self.flat, self.flat + 1

    def expect(self, *of):
        self.said.append(("expect", *of))


def test_the_next_segment_is_expected_as_soon_as_the_one_before_is_there(sample):
    algorithm = MTT(iterations=6, synthetic_steps=1, experts=Experts(count=50, epochs=8))
    run = Run(algorithm=algorithm, resolution=32, backbone=BACKBONE)
    trajectories = Recorded(run)
    matching = TrajectoryMatching(run, sample, trajectories, torch.device("cpu"))
    images = torch.randn(10, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    for step in range(6):
        matching.match(images, torch.arange(10), step, torch.tensor(0.01))
    asked = [of for kind, *of in trajectories.said if kind == "segment"]
    assert [kind for kind, *_ in trajectories.said] == ["segment", "expect"] * 5 + ["segment"]
    assert [of for kind, *of in trajectories.said if kind == "expect"] == asked[1:]
    assert len(set(map(tuple, asked))) == 6
    assert torch.equal(trajectories.flat, Recorded(run).flat), "segments are not written into"


def _trained(labels, **fields):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(10, 1, 32, 32, generator=rng)
    network = build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=rng)
    evaluation = Evaluation(epochs=5, augmentation="", **fields)
    return flat_parameters(train_network(network, images, labels, evaluation, lr=0.1, rng=rng))


def test_probabilities_of_one_are_hard_labels():
    labels = torch.arange(10)
    hard, soft = _trained(labels), _trained(torch.nn.functional.one_hot(labels).float())
    torch.testing.assert_close(soft, hard)
    assert not torch.allclose(_trained(torch.full((10, 10), 0.1)), hard)


def test_step_schedule_is_the_originals():
    # The rate falls at the end of epoch E // 2 + 1.
    assert [learning_rate_factor(epoch, 6, "step") for epoch in range(7)] == [1, 1, 1, 1, 1, 0.1, 0.1]
    hard = torch.arange(10)
    assert not torch.allclose(_trained(hard, schedule="step"), _trained(hard))


def test_an_evaluation_without_augmentation_decided_is_refused():
    rng = torch.Generator()
    network = build_network(BACKBONE, channels=1, resolution=32, classes=10, rng=rng)
    with pytest.raises(UserError, match="takes the augmentation of a run"):
        train_network(network, torch.zeros(2, 1, 32, 32), torch.zeros(2).long(), Evaluation(), lr=0.1, rng=rng)
