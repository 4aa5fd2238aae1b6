import numpy as np
import pytest

from glad_ray.results import Training, select


def training(network, step, repeat, accuracy, held_out=None):
    return Training(
        step=step,
        network=network,
        repeat=repeat,
        accuracy=accuracy,
        held_out_accuracy=held_out,
        learning_rate=0.01,
        seconds=1.0,
        peak_memory_bytes=1,
        device="cpu",
    )


def by_network(table):
    """`{network: {step: [(accuracy, held-out accuracy), ...]}}` as trainings."""
    return {
        network: [
            training(network, step, repeat, *pair) for step, pairs in steps.items() for repeat, pair in enumerate(pairs)
        ]
        for network, steps in table.items()
    }


def test_each_selection_looks_at_its_own_numbers_alone():
    trainings = by_network({
        "convnet": {10: [(0.9, 0.1), (0.9, 0.1)], 20: [(0.2, 0.9), (0.2, 0.5)], 30: [(0.3, 0.6), (0.3, 0.6)]},
        "vit": {10: [(0.1, 1.0), (0.1, 1.0)], 20: [(0.5, 0.0), (0.0, 0.0)], 30: [(0.2, 0.0), (0.25, 0.0)]},
    })  # fmt: skip
    assert select(trainings, "convnet", (10, 20, 30)) == {
        "last": {"convnet": 30, "vit": 30},
        "held-out": {"convnet": 20, "vit": 20},
        "best-on-test": {"convnet": 10, "vit": 20},
    }


def test_of_equal_steps_the_later_one():
    trainings = by_network({"convnet": {step: [(0.5, 0.5), (0.25, 0.25)] for step in (10, 20, 30)}})
    chosen = select(trainings, "convnet", (30, 10, 20))
    assert chosen["held-out"] == chosen["best-on-test"] == {"convnet": 30}


def test_equal_means_of_other_order_are_equal():
    # Added up one by one, 0.1 + 0.2 + 0.3 is above 0.3 + 0.2 + 0.1 by a last bit.
    steps = {10: [(0.1, None), (0.2, None), (0.3, None)], 20: [(0.3, None), (0.2, None), (0.1, None)]}
    assert select(by_network({"convnet": steps}), "convnet", (10, 20))["best-on-test"] == {"convnet": 20}


@pytest.mark.parametrize("backbone", ["convnet", "alexnet"])
def test_held_out_needs_the_backbones_held_out_accuracy(backbone):
    trainings = by_network({"convnet": {10: [(0.5, None)]}, "vit": {10: [(0.5, 0.5)]}})
    assert set(select(trainings, backbone, (10,))) == {"last", "best-on-test"}


def test_against_a_slow_reference():
    rng = np.random.default_rng(0)
    steps = (5, 10, 15, 20)
    for _ in range(200):
        # Few values, so that ties happen.
        accuracies = rng.integers(0, 3, (3, 4, 2, 2)) / 2
        trainings = by_network({
            name: {step: [tuple(pair) for pair in accuracies[n, s]] for s, step in enumerate(steps)}
            for n, name in enumerate(("a", "b", "c"))
        })  # fmt: skip
        mean = accuracies.mean(axis=2)

        def last_best(scores):
            return steps[np.flatnonzero(scores == scores.max())[-1]]

        chosen = select(trainings, "b", steps)
        assert chosen["last"] == dict.fromkeys("abc", 20)
        assert chosen["held-out"] == dict.fromkeys("abc", last_best(mean[1, :, 1]))
        assert chosen["best-on-test"] == {name: last_best(mean[n, :, 0]) for n, name in enumerate("abc")}
