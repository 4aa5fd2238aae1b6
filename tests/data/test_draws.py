import dataclasses
import warnings

import numpy as np
import pytest
import torch

from glad_ray.data import (
    Dataset,
    by_index,
    denormalise,
    draw_class_members,
    load_dataset,
    normalise,
    real_images,
    test_subset,
)
from glad_ray.errors import UserError

SIZES = (5, 3, 8)
TEST_SIZES = (4, 4, 4)


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


def _numbered(sizes, rng):
    """Images whose pixels tell which one they are, and their labels; in no order of classes."""
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 3, 3), np.uint8)
    images[:, 1] += 100
    return images, labels


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    train_images, train_labels = _numbered(SIZES, rng)
    test_images, test_labels = _numbered(TEST_SIZES, rng)
    arrays = {
        "train_images": train_images, "train_labels": train_labels,
        "held_out_images": train_images[:0], "held_out_labels": train_labels[:0],
        "test_images": test_images, "test_labels": test_labels,
    }  # fmt: skip
    for array in arrays.values():
        # As arrays are when processes share them.
        array.flags.writeable = False
    return Dataset(name="numbered", class_names=("a", "b", "c"), mean=(0.25, 0.5), std=(0.5, 0.125), **arrays)


@pytest.fixture(autouse=True)
def _strict():
    """No warning, and no draw from the global generator."""
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert torch.equal(torch.get_rng_state(), before)


def _numbers(images, dataset):
    """Which images these normalised ones are."""
    values = denormalise(images, dataset.mean, dataset.std) * 255
    numbers = values[:, 0, 0, 0].round().long()
    expected = torch.from_numpy(dataset.train_images.copy())[numbers]
    assert torch.equal(images, normalise(expected, dataset.mean, dataset.std))
    return numbers.tolist()


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_normalise(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 5), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (pixels / 255 - np.reshape(mean, (1, 3, 1, 1))) / np.reshape(std, (1, 3, 1, 1))
    images = normalise(torch.from_numpy(pixels) if kind == "tensor" else pixels, mean, std)
    assert images.dtype == torch.float32
    assert np.abs(images.numpy() - expected).max() < 1e-6
    assert np.abs(denormalise(images, mean, std).numpy() - pixels / 255).max() < 1e-6


def test_normalise_takes_8_bit_images_alone():
    with pytest.raises((AssertionError, TypeError)):
        normalise(torch.zeros(1, 1, 2, 2), (0.5,), (0.5,))


def test_denormalise_clips():
    images = torch.tensor([-10.0, 10.0]).view(2, 1, 1, 1)
    assert denormalise(images, (0.3,), (0.4,)).flatten().tolist() == [0, 1]


@pytest.mark.parametrize("images_per_class", [1, 2, 3, 5, 100])
def test_members_of_every_class(images_per_class, dataset):
    members = draw_class_members(dataset, images_per_class, _rng())
    assert [len(own) for own in members] == [min(images_per_class, size) for size in SIZES]
    for label, own in enumerate(members):
        assert len(own.unique()) == len(own), "none twice"
        assert (dataset.train_labels[own.numpy()] == label).all()


def test_members_are_the_first_of_a_permutation(dataset):
    few, more = (draw_class_members(dataset, k, _rng(3)) for k in (2, 4))
    for first, longer in zip(few, more, strict=True):
        assert longer[: len(first)].tolist() == first.tolist()


def test_every_member_is_drawn_alike(dataset):
    rng = _rng()
    drawn = np.zeros(sum(SIZES))
    for _ in range(2000):
        drawn[torch.cat(draw_class_members(dataset, 2, rng)).numpy()] += 1
    expected = 2000 * 2 / np.array(SIZES)[dataset.train_labels]
    # Four standard deviations of a binomial count.
    assert (np.abs(drawn - expected) <= 4 * np.sqrt(expected)).all()


def test_real_images_have_their_labels_and_may_repeat(dataset):
    labels = torch.tensor([2, 0, 1] * 20)
    numbers = _numbers(real_images(dataset, labels, _rng()), dataset)
    assert dataset.train_labels[numbers].tolist() == labels.tolist()
    for label, size in enumerate(SIZES):
        own = [number for number in numbers if dataset.train_labels[number] == label]
        assert len(set(own)) == size, "twenty draws reach every image of eight, and some twice"


@pytest.mark.parametrize("draw", ["class members", "real images"])
def test_a_draw_follows_from_its_rng(draw, dataset):
    def images(rng):
        if draw == "class members":
            return torch.cat(draw_class_members(dataset, 3, rng))
        return real_images(dataset, torch.arange(3).repeat(5), rng)

    first = images(_rng(1))
    assert torch.equal(images(_rng(1)), first)
    assert not torch.equal(images(_rng(2)), first)
    rng = _rng(1)
    images(rng)
    assert not torch.equal(images(rng), first)


def test_held_out_images_are_never_drawn():
    dataset = load_dataset("fashion-mnist-sample", resolution=28, held_out=397)
    apart = {image.tobytes() for image in normalise(dataset.held_out_images, dataset.mean, dataset.std).numpy()}
    batch = by_index(dataset.train_images, dataset)(torch.cat(draw_class_members(dataset, 256, _rng())))
    singles = real_images(dataset, torch.arange(10).repeat(50), _rng())
    assert len(batch) == 30
    assert not {image.tobytes() for image in torch.cat([batch, singles]).numpy()} & apart


@pytest.mark.parametrize(("count", "shares"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (12, [4, 4, 4])])
def test_subsets_of_the_test_images_are_even(count, shares, dataset):
    images, labels = test_subset(dataset, count)
    assert labels.tolist() == np.repeat(np.arange(3), shares).tolist()
    expected = np.concatenate([np.flatnonzero(dataset.test_labels == c)[:share] for c, share in enumerate(shares)])
    assert np.array_equal(images, dataset.test_images[expected])
    again, _ = test_subset(dataset, count)
    assert np.array_equal(again, images)


def test_without_a_count_all_are_tested(dataset):
    images, labels = test_subset(dataset, None)
    assert images is dataset.test_images, "no copy"
    assert labels is dataset.test_labels


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_images_by_index_are_normalised_and_read_where_they_lie(device, dataset):
    images = dataset.train_images.copy()
    get = by_index(images, dataset, torch.device(device))
    index = torch.tensor([5, 0, 5])
    expected = normalise(images[[5, 0, 5]], dataset.mean, dataset.std)
    assert get(index.to(device)).shape == expected.shape
    if device == "cpu":
        assert torch.equal(get(index), expected)
        images[5] = 0
        assert not torch.equal(get(index), expected), "no copy was made"


def test_too_many_test_images_are_refused(dataset):
    with pytest.raises(UserError, match="13 test images were asked for and numbered has 12: ask for 12 or fewer"):
        test_subset(dataset, 13)


def test_a_dataset_cannot_be_changed(dataset):
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"
