import numpy as np
import pytest
from PIL import Image

from glad_ray.data import load_dataset
from glad_ray.data.resize import fit
from glad_ray.errors import UserError
from glad_ray.spec import dataset_facts
from tests.data.files import few_images, write_files

SAMPLE = "fashion-mnist-sample"


@pytest.fixture(scope="module")
def stored():
    return load_dataset(SAMPLE, resolution=28)


def _rows(images):
    return {image.tobytes() for image in images}


def test_the_sample_is_balanced_and_as_its_facts_say(stored):
    facts = dataset_facts(SAMPLE)
    assert stored.train_images.shape == (facts.train_images, facts.channels, facts.resolution, facts.resolution)
    assert stored.test_images.shape == (facts.test_images, facts.channels, facts.resolution, facts.resolution)
    assert len(stored.held_out_images) == len(stored.held_out_labels) == 0
    assert np.array_equal(stored.train_labels, np.repeat(np.arange(10), 400))
    assert np.array_equal(stored.test_labels, np.repeat(np.arange(10), 100))
    assert (stored.name, stored.class_names, stored.mean, stored.std) == (
        SAMPLE, facts.class_names, facts.mean, facts.std,
    )  # fmt: skip
    assert not _rows(stored.train_images) & _rows(stored.test_images)
    # The published constants describe it.
    assert abs(stored.train_images.mean() / 255 - facts.mean[0]) < 0.01
    assert abs(stored.train_images.std() / 255 - facts.std[0]) < 0.01


def test_class_indices(stored):
    for label, members in enumerate(stored.class_indices):
        assert members.tolist() == [i for i, own in enumerate(stored.train_labels) if own == label]


def test_the_whole_is_sorted_by_class_and_keeps_its_order(tmp_path):
    images, labels, *test = few_images()
    write_files(tmp_path / "root", [images, labels, *test], gz=True)
    dataset = load_dataset("fashion-mnist", resolution=28, held_out=3, root=tmp_path / "root")
    for label in range(10):
        own = images[labels == label]
        assert np.array_equal(dataset.train_images[dataset.class_indices[label], 0], own[:-3])
        assert np.array_equal(dataset.held_out_images[dataset.held_out_labels == label, 0], own[-3:])


@pytest.mark.parametrize("held_out", [1, 40, 399])
def test_held_out_images_are_the_last_of_each_class_and_no_others(held_out, stored):
    split = load_dataset(SAMPLE, resolution=28, held_out=held_out)
    assert np.array_equal(split.held_out_labels, np.repeat(np.arange(10), held_out))
    assert np.array_equal(split.train_labels, np.repeat(np.arange(10), 400 - held_out))
    for label in range(10):
        own = stored.train_images[stored.train_labels == label]
        assert np.array_equal(split.train_images[split.train_labels == label], own[:-held_out])
        assert np.array_equal(split.held_out_images[split.held_out_labels == label], own[-held_out:])
    assert not _rows(split.train_images) & _rows(split.held_out_images)
    assert np.array_equal(split.test_images, stored.test_images)


@pytest.mark.parametrize("held_out", [400, 401, -1])
def test_an_impossible_held_out_is_refused(held_out):
    with pytest.raises(UserError, match=f"held_out is {held_out} and class 'T-shirt/top' .* has 400 .* use 0 to 399"):
        load_dataset(SAMPLE, resolution=28, held_out=held_out)


def test_other_mistakes_are_told():
    with pytest.raises(UserError, match="Did you mean 'fashion-mnist'"):
        load_dataset("fashion-mnits", resolution=28)
    with pytest.raises(UserError, match="resolution is 0: use 1 pixel or more, 28 for"):
        load_dataset(SAMPLE, resolution=0)


@pytest.mark.parametrize(("resolution", "before"), [(29, 0), (30, 1), (31, 1), (32, 2)])
def test_up_to_32_pixels_black_is_added_evenly(resolution, before, stored):
    padded = load_dataset(SAMPLE, resolution=resolution, held_out=7)
    for images, original in (
        (padded.train_images, load_dataset(SAMPLE, resolution=28, held_out=7).train_images),
        (padded.test_images, stored.test_images),
    ):
        assert images.shape[2:] == (resolution, resolution)
        inner = slice(before, before + 28)
        assert np.array_equal(images[:, :, inner, inner], original)
        outside = np.ones((resolution, resolution), bool)
        outside[inner, inner] = False
        assert not images[:, :, outside].any()
    assert padded.held_out_images.shape == (70, 1, resolution, resolution)


@pytest.mark.parametrize("resolution", [14, 20, 33, 64, 128])
def test_other_sizes_are_resized_with_antialiasing(resolution, stored):
    images = stored.train_images[::200]
    resized = fit(images, resolution)
    assert resized.shape == (len(images), 1, resolution, resolution)
    assert resized.dtype == np.uint8
    for image, original in zip(resized, images, strict=True):
        # Pillow's triangle filter widens as it shrinks: the same filter, another implementation.
        expected = Image.fromarray(original[0].astype(np.float32)).resize(
            (resolution, resolution), Image.Resampling.BILINEAR
        )
        assert np.abs(image[0] - np.asarray(expected)).max() < 0.501


def test_all_splits_are_resized(stored):
    small = load_dataset(SAMPLE, resolution=14, held_out=1)
    assert np.array_equal(small.train_images[::399], fit(stored.train_images[::400], 14))
    assert small.held_out_images.shape == (10, 1, 14, 14)
    assert small.test_images.shape == (1000, 1, 14, 14)


def test_loading_twice_gives_the_same(stored):
    again = load_dataset(SAMPLE, resolution=28)
    assert np.array_equal(again.train_images, stored.train_images)
    assert np.array_equal(again.test_images, stored.test_images)
