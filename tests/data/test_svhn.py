from dataclasses import replace

import numpy as np
import pytest
import torchvision
from scipy.io import savemat

from glad_ray.data import load_dataset
from glad_ray.data.readers.svhn import find, read_svhn
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DATASETS


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setitem(DATASETS, "svhn", replace(DATASETS["svhn"], train_images=30, test_images=20))


def arrays(count):
    """X and y as the files have them: labels 1 to 10."""
    rng = np.random.default_rng(count)
    return {
        "X": rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8),
        "y": rng.permutation(np.arange(count) % 10 + 1)[:, None].astype(np.uint8),
    }


def write(folder, **changed):
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "train_32x32.mat", arrays(30) | changed, do_compression=True)
    savemat(folder / "test_32x32.mat", arrays(20), do_compression=True)


@pytest.mark.parametrize("folder", [".", "SVHN", "svhn"])
def test_the_same_as_torchvision_reads(folder, tmp_path, monkeypatch):
    write(tmp_path / folder)
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    folder = find(DATASETS["svhn"], tmp_path)
    splits = {split: read_svhn(folder, split, DATASETS["svhn"]) for split in ("train", "test")}
    for split in ("train", "test"):
        theirs = torchvision.datasets.SVHN(tmp_path / folder, split)
        assert np.array_equal(splits[split].images, theirs.data)
        assert np.array_equal(splits[split].labels, theirs.labels)
    assert set(splits["train"].labels) == set(range(10))


def test_it_is_loaded_by_name(tmp_path):
    write(tmp_path)
    dataset = load_dataset("svhn", resolution=32, held_out=1, root=tmp_path)
    assert dataset.train_images.shape == (20, 3, 32, 32)
    assert np.array_equal(dataset.test_labels, np.repeat(np.arange(10), 2))


FAULTS = {
    "label 0": ({"y": np.array([[0]] + [[1]] * 29)}, "label 0, and labels run from 1 to 10"),
    "label 11": ({"y": np.array([[11]] + [[1]] * 29)}, "label 11, and labels run from 1 to 10"),
    "fewer labels": ({"y": np.ones((29, 1))}, "are not 32 x 32 x 3 x n bytes and n labels"),
    "floats": ({"X": np.zeros((32, 32, 3, 30))}, "are not 32 x 32 x 3 x n bytes"),
    "grey": ({"X": np.zeros((32, 32, 30), np.uint8)}, "are not 32 x 32 x 3 x n bytes"),
    "one fewer": (
        {key: value[..., :-1] if key == "X" else value[:-1] for key, value in arrays(30).items()},
        "has 29 tr",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_arrays_are_told(fault, tmp_path):
    changed, told = FAULTS[fault]
    write(tmp_path, **changed)
    with pytest.raises(DataError, match=told) as caught:
        load_dataset("svhn", resolution=32, root=tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>", None], ids=["empty", "page", "cut"])
def test_a_damaged_file_is_named(content, tmp_path):
    write(tmp_path)
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    with pytest.raises(DataError, match="it is no MATLAB file of version 5 with X and y") as caught:
        load_dataset("svhn", resolution=32, root=tmp_path)
    assert str(path) in str(caught.value)


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(UserError, match=r"SVHN was not found .*SVHN\('data', 'train', download=True\)"):
        load_dataset("svhn", resolution=32, root=tmp_path)
    write(tmp_path)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32\.mat cannot be read \(No such file"):
        load_dataset("svhn", resolution=32, root=tmp_path)
