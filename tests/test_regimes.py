"""Trainings under regimes: by a teacher at every step, on mixed images, in random views; and never as CUDA graphs."""

import pytest
import torch

import glad_ray.evaluation
from glad_ray.augment import draw_crop, draw_views, view_images
from glad_ray.evaluation import accuracy, train_network
from glad_ray.networks import build_network
from glad_ray.spec import Evaluation, Mixing, Network, Views
from glad_ray.teaching import Teacher

EXTRAS = {
    "views": {"views": Views(parts=2, smallest_area=0.5)},
    "cutmix": {"mixing": Mixing()},
    "mixup": {"mixing": Mixing(kind="mixup", probability=0.5)},
    "seen twice": {"seen_twice": True},
    "adamw": {"optimiser": "adamw", "weight_decay": 0.01},
    # Without the square its gradients are small, and steps of SGD too.
    "online": {"labels": "online", "temperature_squared": True},
}


def network_of(seed):
    spec = Network(width=8)
    return build_network(spec, channels=1, resolution=16, classes=2, rng=torch.Generator().manual_seed(seed))


def stripes(seed=0):
    """Two classes: stripes of rows, or of columns, which flips, crops and shuffled parts leave."""
    rng = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(40, 1, 16, 16, generator=rng), torch.arange(40) % 2
    wave = torch.arange(16) % 4 // 2 * 2.0 - 1
    for image, label in zip(images, labels, strict=True):
        image += wave if label else wave.view(16, 1)
    return images, labels


def trained(seed=1, teachers=(), **changes):
    images, labels = stripes()
    evaluation = Evaluation(epochs=12, augmentation="", ema_decay=0.0, batch_size=8, **changes)
    rng = torch.Generator().manual_seed(seed)
    return train_network(network_of(0), images, labels, evaluation, lr=0.01, rng=rng, teachers=teachers)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_training_learns_and_follows_from_its_rng_alone(name):
    teachers = (trained().eval(),) if name == "online" else ()
    first, again = (trained(teachers=teachers, **EXTRAS[name]) for _ in range(2))
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    plain = trained()
    if name != "seen twice":
        assert not torch.equal(first.classifier.weight, plain.classifier.weight)
    assert accuracy(first, *stripes(1)) > 0.8


@pytest.mark.parametrize("name", EXTRAS)
def test_no_graphs_are_made_of_what_they_do_not_hold(name, monkeypatch):
    def captured(*arguments, **settings):
        raise NotImplementedError

    monkeypatch.setattr(glad_ray.evaluation, "can_be_captured", lambda images, network: True)
    monkeypatch.setattr(glad_ray.evaluation, "CapturedTraining", captured)
    with pytest.raises(NotImplementedError):
        trained()
    trained(teachers=(network_of(2).eval(),) if name == "online" else (), **EXTRAS[name])


def test_a_teacher_of_several_networks_says_their_mean():
    networks, images = [network_of(seed).eval() for seed in range(3)], stripes()[0]
    said = Teacher(networks, 4.0).probabilities(images)
    expected = sum(torch.softmax(network(images) / 4, 1) for network in networks) / 3
    torch.testing.assert_close(said, expected)
    assert not said.requires_grad


def test_crops_have_the_areas_and_shapes_that_are_asked_for():
    rng = torch.Generator().manual_seed(0)
    crops = [draw_crop(40, 60, 0.2, 4 / 3, rng) for _ in range(2000)]
    shares = [crop.height * crop.width / 2400 for crop in crops]
    assert min(shares) > 0.17
    # What does not fit is drawn again, so that large crops are rarer.
    assert sum(share < 0.6 for share in shares) / len(shares) > 0.5
    assert all(0 <= crop.top <= 40 - crop.height and 0 <= crop.left <= 60 - crop.width for crop in crops)
    assert max(crop.width / crop.height for crop in crops) < 1.5
    squares = [draw_crop(40, 60, 0.08, 1.0, rng) for _ in range(200)]
    assert {crop.height - crop.width for crop in squares} == {0}
    # A square of the whole area does not fit.
    assert draw_crop(40, 60, 1.0, 1.0, rng) == (0, 10, 40, 40)


def test_views_that_change_nothing_leave_images_as_they_are():
    images = torch.randn(3, 2, 12, 12)
    views = Views(smallest_area=1, stretch=1, flip=False)
    drawn = draw_views(views, 3, 12, 12, torch.Generator().manual_seed(0))
    assert torch.equal(view_images(images, drawn), images)
    flips = draw_views(views.replace(flip=True), 400, 12, 12, torch.Generator().manual_seed(0))
    assert 150 < sum(view.flipped for view in flips) < 250
