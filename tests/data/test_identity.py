"""Prepared images are those of the files that lie there, whatever other files were prepared before."""

import gzip
import os
import shutil
import time

import numpy as np
import pytest

from glad_ray.data import identity, load_dataset
from glad_ray.data.parts import class_part
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.errors import DataError
from tests.data.files import few_images, idx_bytes, write_files
from tests.data.trees import encoded, noise, write_classes

SIDE = 8
COUNTS = {"train": {"ant": 3, "bee": 3}, "test": {"ant": 1, "bee": 1}}
OLD = 10**18


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def trees(tmp_path):
    """Two copies of a dataset of uncompressed images, with equal names, sizes and dates."""
    first, second = tmp_path / "v1" / "animals", tmp_path / "v2" / "animals"
    write_classes(first, COUNTS, (SIDE, SIDE), "BMP")
    shutil.copytree(first, second)
    return first, second


@pytest.fixture
def a_minute_later(monkeypatch):
    """As if some time had passed since the files were written."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)


def dated(root):
    for path in root.rglob("*"):
        os.utime(path, ns=(OLD, OLD))


def load(tree):
    return load_dataset(f"folder:{tree}", resolution=SIDE)


def one_pixel(root):
    path = root / "train" / "bee" / "bee_1.bmp"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def one_image(root):
    (root / "test" / "bee" / "bee_0.bmp").write_bytes(encoded(noise((SIDE, SIDE), 99), "BMP"))


def swapped_classes(root):
    for split in COUNTS:
        (root / split / "ant").rename(root / split / "other")
        (root / split / "bee").rename(root / split / "ant")
        (root / split / "other").rename(root / split / "bee")


def swapped_images(root):
    first, second = (root / "train" / "ant" / f"ant_{number}.bmp" for number in (0, 1))
    first.rename(root / "aside")
    second.rename(first)
    (root / "aside").rename(second)


def swapped_splits(root):
    (root / "train" / "ant").rename(root / "aside")
    (root / "test" / "ant").rename(root / "train" / "ant")
    (root / "aside").rename(root / "test" / "ant")


CHANGES = [one_pixel, one_image, swapped_classes, swapped_images, swapped_splits]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_another_dataset_of_equal_names_sizes_and_dates_is_another(change, large, trees, cache, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr(identity, "WHOLE_BYTES", 0)
    first, second = trees
    change(second)
    dated(first)
    dated(second)
    load(first)
    found = load(second)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    right = load(second)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(found, name), getattr(right, name))
    assert len(list(cache.glob("*.arrow"))) == 2


def test_a_copy_is_not_prepared_again(trees, cache):
    first, second = trees
    dated(first)
    load(first)
    load(second)
    assert len(list(cache.glob("*.arrow"))) == 1


def test_files_changed_in_place_are_prepared_anew_though_their_dates_are_set_back(trees, a_minute_later):
    first, _ = trees
    dated(first)
    before = load(first).train_images
    one_pixel(first)
    dated(first)
    assert (load(first).train_images != before).sum() == 1


def test_files_are_read_once_while_they_stay_what_they_are(trees, cache, a_minute_later, monkeypatch):
    first, _ = trees
    dated(first)
    part = class_part("train", 0, sorted((first / "train" / "ant").iterdir()))
    (stamp,) = identity.stamps([part], cache)
    monkeypatch.setattr("builtins.open", lambda *arguments, **options: pytest.fail("was read before"))
    assert identity.stamps([part], cache) == [stamp]


def test_files_that_were_just_written_are_read_again(trees, cache):
    part = class_part("train", 0, sorted((trees[0] / "train" / "ant").iterdir()))
    identity.stamps([part], cache)
    assert not list(cache.rglob("*.hashes"))


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"[]", b"{}"])
def test_kept_hashes_that_are_damaged_are_computed_again(garbage, trees, cache, a_minute_later):
    part = class_part("train", 0, sorted((trees[0] / "train" / "ant").iterdir()))
    stamps = identity.stamps([part], cache)
    (kept,) = cache.glob(".*.hashes")
    kept.write_bytes(garbage)
    assert identity.stamps([part], cache) == stamps


def test_a_change_deep_in_a_large_file_is_seen(tmp_path, cache, monkeypatch):
    """Of a file that is compressed, such a change changes all that comes after it."""
    monkeypatch.setattr(identity, "WHOLE_BYTES", 0)
    path = tmp_path / "a.jpeg"
    data = bytearray(np.random.default_rng(0).bytes(300_000))
    seen = set()
    for start in (300_000, 299_999, 200_000, 70_000, 10):
        data[start:] = np.random.default_rng(start).bytes(300_000 - start)
        path.write_bytes(data)
        os.utime(path, ns=(OLD, OLD))
        seen |= set(identity.stamps([class_part("train", 0, [path])], cache))
    assert len(seen) == 5


@pytest.mark.parametrize("gz", [False, True])
def test_another_mnist_of_equal_names_sizes_and_dates_is_another(gz, tmp_path):
    arrays = few_images()
    for number, name in enumerate(("v1", "v2")):
        changed = [array.copy() for array in arrays]
        changed[0][3, 5, 5] ^= number
        folder = tmp_path / name / "FashionMNIST" / "raw"
        write_files(folder, changed, gz=False)
        if gz:
            for path in list(folder.iterdir()):
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 0, mtime=0))
                path.unlink()
        dated(tmp_path / name)
    assert idx_bytes(arrays[0]) != idx_bytes(changed[0])
    first, second = (load_dataset("fashion-mnist", resolution=28, root=tmp_path / name) for name in ("v1", "v2"))
    assert (first.train_images != second.train_images).sum() == 1


def test_what_is_no_file_is_told(trees, cache):
    folder = trees[0] / "train" / "ant"
    with pytest.raises(DataError, match="train/ant is no file but a folder: move it elsewhere"):
        identity.stamps([class_part("train", 0, [folder])], cache)
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match="pipe is no file but a device or a pipe"):
        identity.stamps([class_part("train", 0, [folder / "pipe"])], cache)
    with pytest.raises(DataError, match=r"gone cannot be read .*: put it back"):
        identity.stamps([class_part("train", 0, [folder / "gone"])], cache)
