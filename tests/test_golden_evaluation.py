"""The evaluation protocol against the paper's code: learning rates, averaged weights, a whole training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import glad_ray.evaluation
from glad_ray.evaluation import accuracy, ema_decay, learning_rate_factor, train_network
from glad_ray.networks import build_network, flat_parameters
from glad_ray.spec import Evaluation, Network
from tests.golden_numbers import golden, images, set_parameters

ARRAYS, FACTS = golden("evaluation")
DTYPES = {"f32": torch.float32, "f64": torch.float64}
# The reference library computes the decay of its averages in float32.
EMA_TOLERANCE = 2e-6
LOSS_TOLERANCE = {"f32": 1e-6, "f64": 1e-10}
WEIGHT_TOLERANCE = {"f32": {"online": 1e-6, "ema": 1e-6}, "f64": {"online": 1e-12, "ema": 1e-7}}


@pytest.mark.parametrize("epochs", [7, 20, 300, 1000])
def test_learning_rate(epochs):
    ours = [learning_rate_factor(epoch, epochs) for epoch in range(epochs)]
    np.testing.assert_allclose(ours, ARRAYS[f"lr_trace_epoch{epochs}_base1"], rtol=0, atol=1e-14)


def test_learning_rate_of_the_recorded_epochs():
    for epoch, rate in FACTS["lr_at"].items():
        assert learning_rate_factor(int(epoch), 1000) == pytest.approx(rate, rel=0, abs=1e-14)


def test_decay_of_averaged_weights():
    updates, decays = ARRAYS["ema_decay_step_new"].T
    ours = [ema_decay(int(update), 0.995) for update in updates]
    assert updates.tolist() == list(range(2, 1001))
    np.testing.assert_allclose(ours, decays, rtol=0, atol=1e-7)


def _averages(decay):
    average, trace = 0.0, []
    for update in range(1, 1001):
        kept = decay(update)
        average = kept * average + (1 - kept) * (np.sin(0.1 * update) + update / 500)
        trace.append(average)
    return trace


def test_averaged_weights():
    """As version 0.8.3 of the library has it; 0.2.3 differs by copying the weights at the second update too."""
    ours = _averages(lambda update: ema_decay(update, 0.995))
    np.testing.assert_allclose(ours, ARRAYS["ema_trace_v0.8.3"], rtol=0, atol=EMA_TOLERANCE)
    older = _averages(lambda update: 0.0 if update == 2 else ema_decay(update, 0.995))
    np.testing.assert_allclose(older, ARRAYS["ema_trace_v0.2.3"], rtol=0, atol=EMA_TOLERANCE)
    assert abs(older[1] - ours[1]) > 0.01


@pytest.mark.parametrize("precision", DTYPES)
def test_whole_training(precision, monkeypatch):
    setup, dtype = FACTS["run_setup"], DTYPES[precision]
    network = build_network(
        Network(width=setup["width"], depth=setup["depth"]), channels=3, resolution=32, classes=10, rng=None
    )
    set_parameters(network, setup["gain"])
    network.to(dtype)
    x, test_x = (images(10, 3, 32, 32, setup[salt]).to(dtype) for salt in ("salt_train", "salt_test"))
    labels, losses = torch.arange(10), []
    train_epoch = glad_ray.evaluation.train_epoch_together

    def recording_epoch(*arguments, **settings):
        (loss,) = train_epoch(*arguments, **settings)
        losses.append(loss)
        return [loss]

    monkeypatch.setattr(glad_ray.evaluation, "train_epoch_together", recording_epoch)
    averaged = train_network(
        network,
        x,
        labels,
        Evaluation(epochs=20, augmentation=""),
        lr=0.01,
        rng=torch.Generator().manual_seed(0),
    )
    recorded = {name: ARRAYS[f"run_E20_lr0.01/{precision}/{name}"] for name in ("online", "ema", "ema_logits")}
    for name, module in (("online", network), ("ema", averaged)):
        tolerance = WEIGHT_TOLERANCE[precision][name]
        np.testing.assert_allclose(flat_parameters(module).numpy(), recorded[name], rtol=0, atol=tolerance)
    # The losses are summed up in float32.
    np.testing.assert_allclose(losses, ARRAYS[f"run_E20_lr0.01/{precision}/train_loss"], rtol=LOSS_TOLERANCE[precision])

    logits = averaged(test_x).detach()
    np.testing.assert_allclose(logits.numpy(), recorded["ema_logits"], rtol=0, atol=1e-6)
    test_loss = float(F.cross_entropy(logits, labels))
    assert test_loss == pytest.approx(float(ARRAYS[f"run_E20_lr0.01/{precision}/test_loss"][0]), rel=1e-6)
    assert accuracy(averaged, test_x, labels) == pytest.approx(FACTS["run_E20_lr0.01"]["test_acc"][0])
