"""ZCA whitening: kornia's numbers, the way back, and the file that keeps what was fitted."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from kornia.enhance import ZCAWhitening

from glad_ray.data import by_index, kept_whitening, load_dataset, network_inputs, real_images
from glad_ray.data.kept_whitening import kept_zca
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.data.whitening import fit_zca
from glad_ray.errors import UserError

SAMPLE = "fashion-mnist-sample"


def _load(**options):
    return load_dataset(SAMPLE, resolution=12, whitening="zca", **options)


@pytest.fixture(scope="module")
def whitened():
    return _load(held_out=5)


@pytest.fixture
def colour():
    """Images of three channels, more than are summed at a time, with a pixel that is always black."""
    images = np.random.default_rng(0).integers(0, 256, (700, 3, 5, 5), dtype=np.uint8)
    images[:, :, 0, 0] = 0
    return images


@pytest.fixture
def fits(monkeypatch, tmp_path):
    """How many times a whitening was fitted, in a cache folder of its own."""
    counted = []
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(kept_whitening, "fit_zca", lambda images: counted.append(len(images)) or fit_zca(images))
    return counted


def _kept(folder):
    return list(folder.rglob("*-zca-*.arrow"))


def _reference(images):
    """kornia's own fit to images in [0, 1], in float64, as the code of MTT calls it."""
    return ZCAWhitening(eps=0.1, compute_inv=True).fit(torch.tensor(images).double() / 255)


@pytest.mark.parametrize("which", ["sample", "colour"])
def test_a_fit_is_kornias(which, whitened, colour):
    images = whitened.train_images if which == "sample" else colour
    ours, kornias = fit_zca(images), _reference(images)
    for name, theirs in (
        ("mean", kornias.mean_vector[0]), ("transform", kornias.transform_matrix), ("inverse", kornias.transform_inv),
    ):  # fmt: skip
        found = torch.tensor(getattr(ours, name))
        assert found.dtype == torch.float32
        # Nothing but the rounding to float32 is between them.
        assert torch.equal(found, theirs.float()) or (found - theirs).abs().max() < 2e-7 * theirs.abs().max()


def test_images_are_whitened_as_kornia_does_it(whitened):
    kornias = _reference(whitened.train_images)
    pixels = torch.tensor(whitened.test_images[::50]).double() / 255
    expected = kornias(pixels)
    assert (whitened.whitening.whiten(pixels) - expected).abs().max() < 1e-5
    assert (network_inputs(whitened.test_images[::50], whitened) - expected).abs().max() < 1e-4
    assert (whitened.whitening.unwhiten(expected) - kornias.inverse_transform(expected)).abs().max() < 1e-5


def test_what_was_whitened_comes_back(whitened):
    images = network_inputs(whitened.test_images, whitened)
    assert (whitened.whitening.unwhiten(images) - torch.tensor(whitened.test_images) / 255).abs().max() < 1e-4
    assert torch.equal(whitened.whitening.pictures(images), torch.tensor(whitened.test_images))


def test_pictures_are_clipped(whitened):
    far = 100 * torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    pictures = whitened.whitening.pictures(far)
    assert pictures.dtype == torch.uint8
    assert set(pictures.flatten().tolist()) >= {0, 255}


def test_the_pullback_is_the_gradient(whitened):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.rand(4, 1, 12, 12, generator=rng, dtype=torch.float64, requires_grad=True)
    grads = torch.randn(4, 1, 12, 12, generator=rng, dtype=torch.float64)
    (expected,) = torch.autograd.grad(whitened.whitening.whiten(pixels), pixels, grads)
    assert torch.allclose(whitened.whitening.pullback(grads), expected, rtol=0, atol=1e-12)


def test_every_draw_gives_whitened_images(whitened):
    def whitened_of(images):
        return whitened.whitening.whiten(torch.tensor(images).float() / 255)

    def is_one_of(images, labels):
        every = whitened_of(whitened.train_images).flatten(1)
        nearest = torch.cdist(images.flatten(1), every).min(1)
        return bool((nearest.values < 1e-2).all()) and np.array_equal(
            whitened.train_labels[nearest.indices.numpy()], labels.numpy()
        )

    rng, labels = torch.Generator().manual_seed(0), torch.arange(10)
    assert is_one_of(real_images(whitened, labels, rng), labels)
    for split in (whitened.train_images, whitened.held_out_images, whitened.test_images):
        index = torch.tensor([3, 0, 40])
        drawn = by_index(split, whitened)(index)
        assert (drawn - whitened_of(split[index.numpy()])).abs().max() < 1e-5


def test_training_images_are_centred_and_others_are_not_fitted_to(whitened):
    images = network_inputs(whitened.train_images, whitened)
    assert images.mean(0).abs().max() < 1e-5
    assert network_inputs(whitened.test_images, whitened).mean(0).abs().max() > 1e-3


def test_a_dataset_without_whitening_has_none(sample):
    assert sample.whitening is None


def test_it_is_fitted_once_and_for_other_training_images_again(fits, tmp_path):
    first, again = _load(), _load()
    assert fits == [4000]
    assert np.array_equal(first.whitening.transform, again.whitening.transform)
    assert not again.whitening.transform.flags.writeable, "mapped, so that processes share it"
    other = _load(held_out=7)
    assert fits == [4000, 3930]
    assert not np.array_equal(first.whitening.transform, other.whitening.transform)
    load_dataset(SAMPLE, resolution=10, whitening="zca", antialias=False)
    assert len(fits) == len(_kept(tmp_path)) == 3
    assert not list(tmp_path.rglob("*.partial"))


def test_of_several_at_once_one_fits_it(fits, colour):
    at_once = 4
    together = threading.Barrier(at_once)

    def kept(_):
        together.wait()
        return kept_zca(colour, "Mine").transform

    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(kept, range(at_once)))
    assert fits == [len(colour)]
    assert all(np.array_equal(each, found[0]) for each in found)


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_damaged_file_is_fitted_again(damage, fits, tmp_path):
    expected = np.array(_load().whitening.transform)
    (path,) = _kept(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "other":
        _load(held_out=7)
        content = next(each for each in _kept(tmp_path) if each != path).read_bytes()
    path.unlink()
    if damage == "bit":
        content[len(content) // 2] ^= 4
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b""}.get(damage, content))
    before = len(fits)
    assert np.array_equal(_load().whitening.transform, expected)
    assert len(fits) == before + 1
    _load()
    assert len(fits) == before + 1


@pytest.mark.fault
def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path, colour):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"whitening of Mine cannot be kept in .*set GLAD_RAY_CACHE"):
        kept_zca(colour, "Mine")


def test_one_image_is_too_few(colour):
    with pytest.raises(UserError, match=r"1 training image, and whitening needs two"):
        fit_zca(colour[:1])


def test_large_images_are_refused_before_they_are_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"3 x 128 x 128 are too large to be whitened.*resolution to 64 or less"):
        load_dataset("imagenette", resolution=128, whitening="zca", root=tmp_path)


def test_a_whitening_is_sent_to_other_processes_without_what_it_keeps_ready(whitened):
    images = network_inputs(whitened.test_images[:2], whitened)
    sent = pickle.dumps(whitened.whitening)
    assert len(sent) < 1.1 * (2 * 144**2 + 144) * 4
    assert torch.equal(network_inputs(whitened.test_images[:2], whitened), images)
    assert np.array_equal(pickle.loads(sent).inverse, whitened.whitening.inverse)
