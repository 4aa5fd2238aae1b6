import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from glad_ray.data import load_dataset
from glad_ray.generator_training.adversarial import relativistic_loss, squared_gradient
from glad_ray.generator_training.autoencoder import divergence_from_normal
from glad_ray.generator_training.base import Setting
from glad_ray.generator_training.samples import as_bytes
from tests.generator_training.trainings import training_of, write_folders


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_divergence_is_that_of_normal_distributions():
    mean, log_variance = normal(5, 3), normal(5, 3, seed=1)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(divergence_from_normal(mean, log_variance), expected)
    assert float(divergence_from_normal(torch.zeros(2, 3), torch.zeros(2, 3))) == 0


def test_the_relativistic_loss_compares_pair_by_pair():
    better, worse = normal(6, 2), normal(6, 2, seed=1)
    expected = np.mean(
        [
            sum(np.log1p(np.exp(float(b - a))) for a, b in zip(one, other, strict=True))
            for one, other in zip(worse, better, strict=True)
        ]
    )
    assert float(relativistic_loss(worse, better)) == pytest.approx(expected)


def test_the_penalty_is_the_squared_gradient_of_each_image_and_can_be_differentiated():
    images, weights = normal(3, 1, 2, 2).requires_grad_(), normal(4, 2, seed=1).requires_grad_()
    penalty = squared_gradient(images.square().flatten(1) @ weights, images)
    expected = (2 * images.flatten(1) * weights.sum(1)).square().sum(1).mean()
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(each, weights, retain_graph=True)[0] for each in (penalty, expected))
    )


def test_classes_are_drawn_evenly_whatever_their_sizes_and_images_are_of_them(tmp_path):
    name = write_folders(tmp_path, {"many": (12, 1), "few": (2, 1), "one": (1, 1)}, 16)
    dataset = load_dataset(name, resolution=16)
    setting = Setting(training_of(name), dataset, torch.device("cpu"))
    labels, images = setting.draw(900, torch.Generator().manual_seed(0))
    counts = torch.bincount(labels, minlength=3)
    assert counts.min() > 250
    for label in range(3):
        pixels = as_bytes(images[labels == label])
        own = dataset.train_images[dataset.class_indices[label]]
        assert {each.tobytes() for each in pixels} == {each.tobytes() for each in own}


def test_networks_see_normalised_images(tmp_path):
    dataset = load_dataset("fashion-mnist-sample", resolution=16)
    setting = Setting(training_of(), dataset, torch.device("cpu"))
    seen = setting.seen(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    expected = (torch.tensor([0.0, 1.0]) - dataset.mean[0]) / dataset.std[0]
    torch.testing.assert_close(seen.flatten(), expected)
