"""The evaluation protocol against the paper's code: learning rates, averaged weights, a whole training."""

import numpy as np
import pytest
import torch

from glad_ray.evaluate import accuracy, ema_decay, learning_rate_factor, train_network
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import Evaluation, Network
from tests.golden_numbers import golden, images, set_parameters

ARRAYS, FACTS = golden("evaluation")


@pytest.mark.parametrize("epochs", [7, 20, 300, 1000])
def test_learning_rate(epochs):
    ours = [learning_rate_factor(epoch, epochs) for epoch in range(epochs)]
    np.testing.assert_allclose(ours, ARRAYS[f"lr_trace_epoch{epochs}_base1"], rtol=0, atol=1e-14)


def test_averaged_weights():
    average, trace = 0.0, []
    for update in range(1, 1001):
        decay = ema_decay(update, 0.995)
        average = decay * average + (1 - decay) * (np.sin(0.1 * update) + update / 500)
        trace.append(average)
    # The reference library computes its decay in float32.
    np.testing.assert_allclose(trace, ARRAYS["ema_trace_v0.8.3"], rtol=0, atol=2e-6)


def test_whole_training():
    setup = FACTS["run_setup"]
    network = build_network(
        Network(width=setup["width"], depth=setup["depth"]), channels=3, resolution=32, classes=10, rng=None
    )
    set_parameters(network, setup["gain"])
    network.double()
    labels = torch.arange(10)
    evaluation = Evaluation(epochs=20, augmentation="")
    averaged = train_network(
        network,
        images(10, 3, 32, 32, setup["salt_train"]).double(),
        labels,
        evaluation,
        lr=0.01,
        rng=torch.Generator().manual_seed(0),
    )
    case = "run_E20_lr0.01/f64"
    online = flat_parameters(network).detach().numpy()
    np.testing.assert_allclose(online, ARRAYS[f"{case}/online"], rtol=0, atol=1e-12)
    # The reference library computes its decay in float32.
    ema = flat_parameters(averaged).detach().numpy()
    np.testing.assert_allclose(ema, ARRAYS[f"{case}/ema"], rtol=0, atol=1e-7)
    test_images = images(10, 3, 32, 32, setup["salt_test"]).double()
    np.testing.assert_allclose(averaged(test_images).detach().numpy(), ARRAYS[f"{case}/ema_logits"], atol=1e-6)
    assert accuracy(averaged, test_images, labels) == pytest.approx(float(ARRAYS[f"{case}/test_acc"][0]))
