"""Real images that are chosen by clusters every ten iterations, as DREAM does it."""

import pytest
import torch

from glad_ray.algorithms.drawn import build_backbone, draw_of_step
from glad_ray.algorithms.real_batches import RealBatches
from glad_ray.augment import draw
from glad_ray.clustering import features_of
from glad_ray.data import by_index
from glad_ray.plan.cost import estimate
from glad_ray.randomness import rng_for
from glad_ray.spec import DC, DM, Network, Run

RUN = Run(
    algorithm=DM(real_batch_size=6, real_batches="clustered"), resolution=32, backbone=Network(width=4), augmentation=""
)
CPU = torch.device("cpu")


def _network(sample, number):
    return build_backbone(RUN, sample, rng_for("clusters", "network", number))


def _images(batches, network, step):
    draws = draw("", 10, rng_for("none", "draws"))
    return [torch.cat(list(parts)) for _, parts in batches.of_step(network, step, draws, torch.float32)]


def test_chosen_every_ten_iterations_and_kept_between(sample):
    batches, networks = RealBatches(RUN, sample, 6, CPU), [_network(sample, number) for number in range(2)]
    batches.choose(networks[0], 0)
    first = _images(batches, networks[0], 0)
    batches.choose(networks[1], 7)
    assert all(torch.equal(a, b) for a, b in zip(first, _images(batches, networks[1], 7), strict=True))
    resumed = RealBatches(RUN, sample, 6, CPU)
    resumed.load_state(batches.state())
    assert all(torch.equal(a, b) for a, b in zip(first, _images(resumed, networks[1], 7), strict=True))
    one = resumed.of_class(networks[1], 3, 8, draw_of_step(RUN, sample, 8), torch.float32)
    assert torch.equal(torch.cat(list(one[1])), first[3])
    batches.choose(networks[1], 10)
    assert not all(torch.equal(a, b) for a, b in zip(first, _images(batches, networks[1], 10), strict=True))


def test_each_is_the_nearest_to_a_mean_of_others(sample):
    """By hand: k-means with the same start, written with explicit distances."""
    batches, network = RealBatches(RUN, sample, 6, CPU), _network(sample, 0)
    batches.choose(network, 20, [4])
    (chosen,) = (each for each in batches.state()["real_images"].split(6) if each[0] >= 0)
    members = torch.from_numpy(sample.class_indices[4])
    features = features_of(network, by_index(sample.train_images, sample), members, 50).double()
    centres = features[torch.randint(len(members), (6,), generator=rng_for(RUN.run_id, "clusters", 20, 4))]
    for _ in range(100):
        distances = (features[:, None] - centres).pow(2).sum(2)
        nearest = distances.argmin(1)
        moved = torch.stack(
            [
                features[nearest == cluster].mean(0) if (nearest == cluster).any() else torch.zeros(features.shape[1])
                for cluster in range(6)
            ]
        )
        change, centres = (moved - centres).pow(2).sum(), moved
        if change <= 1e-4:
            break
    expected = members[(features[:, None] - centres).pow(2).sum(2).argmin(0)]
    assert torch.equal(chosen, expected)


def test_a_class_that_was_not_chosen_is_remembered_as_such(sample):
    batches = RealBatches(RUN, sample, 6, CPU)
    assert batches.state() == {}
    batches.choose(_network(sample, 0), 0, [2])
    resumed = RealBatches(RUN, sample, 6, CPU)
    resumed.load_state(batches.state())
    draws = draw_of_step(RUN, sample, 0)
    assert resumed.of_class(_network(sample, 0), 2, 0, draws, torch.float32)[0] == 6
    with pytest.raises(AssertionError, match="choose is called first"):
        resumed.of_class(_network(sample, 0), 3, 0, draws, torch.float32)


@pytest.mark.parametrize("kind", [DC, DM])
def test_what_it_says_and_costs(kind):
    plain, clustered = kind(), kind(real_batches="clustered")
    assert "real_batches" not in plain.model_dump()
    assert plain.content_id != clustered.content_id
    costs = [estimate(Run(algorithm=each), []).distill_flops for each in (plain, clustered)]
    assert costs[1] > costs[0]
