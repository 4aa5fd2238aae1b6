import gzip
from pathlib import Path

import numpy as np
import pytest
import torchvision

from glad_ray.data import load_dataset
from glad_ray.data.readers.files import ENVIRONMENT_VARIABLE
from glad_ray.data.readers.idx import read_idx
from glad_ray.data.readers.mnist import find, read_mnist
from glad_ray.errors import DataError, UserError
from tests.data.files import FACTS, NAMES, few_images, idx_bytes, write_files


@pytest.fixture(scope="module")
def arrays():
    return few_images()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """Nothing of this machine is found."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr("glad_ray.data.readers.files.DEFAULT_ROOTS", (Path("data"), tmp_path / "share"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", [".", "FashionMNIST/raw", "fashion-mnist", "dataset-fashion-mnist"])
def test_every_layout_is_read(folder, gz, arrays, tmp_path):
    write_files(tmp_path / "root" / folder, arrays, gz)
    found = find(FACTS, tmp_path / "root")
    splits = {split: read_mnist(found, split, FACTS) for split in ("train", "test")}
    for name, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
        assert np.array_equal(splits[name].images[:, 0], images)
        assert np.array_equal(splits[name].labels, labels)
        assert splits[name].labels.dtype == np.int64


def test_the_same_as_torchvision_reads(arrays, tmp_path):
    write_files(tmp_path / "FashionMNIST" / "raw", arrays, gz=False)
    ours = {split: read_mnist(find(FACTS, tmp_path), split, FACTS) for split in ("train", "test")}
    for name in ("train", "test"):
        theirs = torchvision.datasets.FashionMNIST(tmp_path, train=name == "train")
        assert np.array_equal(ours[name].images[:, 0], theirs.data.numpy())
        assert np.array_equal(ours[name].labels, theirs.targets.numpy())


def test_a_named_root_comes_before_the_variable_and_that_before_the_usual_places(arrays, tmp_path, monkeypatch):
    for place in ("named", "variable", "data"):
        write_files(tmp_path / place, arrays, gz=True)
    assert find(FACTS) == Path("data")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "variable"))
    assert find(FACTS) == tmp_path / "variable"
    assert find(FACTS, tmp_path / "named") == tmp_path / "named"


@pytest.mark.parametrize("how", ["root", "variable", "nothing"])
def test_nothing_found_says_where_and_how(how, arrays, tmp_path, monkeypatch):
    if how != "nothing":
        # What is named is meant: no other place is taken in its stead.
        write_files(tmp_path / "data", arrays, gz=True)
    if how == "variable":
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "empty"))
    root = tmp_path / "empty" if how == "root" else None
    with pytest.raises(UserError, match="was not found") as caught:
        load_dataset("fashion-mnist", resolution=28, root=root)
    looked = str(tmp_path / ("share" if how == "nothing" else "empty"))
    for told in (looked, "apt-get install dataset-fashion-mnist", "torchvision", ENVIRONMENT_VARIABLE):
        assert told in str(caught.value)


def _flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


IMAGES, LABELS = NAMES[:2]
DAMAGES = {
    "cut": (IMAGES, False, lambda data: data[:-1], "holds 156799 bytes where its header promises 156800"),
    "too long": (IMAGES, False, lambda data: data + b"\0", "holds 156801 bytes where its header promises 156800"),
    "empty": (IMAGES, False, lambda data: b"", "ends after 0 bytes"),
    "cut header": (IMAGES, False, lambda data: data[:15], "ends after 15 bytes"),
    "other type": (IMAGES, False, lambda data: b"\0\0\x0d\3" + data[4:], "begins with 0x00000d03"),
    "labels as images": (IMAGES, False, lambda data: b"\0\0\x08\1" + data[4:], "begins with 0x00000801"),
    "cut gzip": (IMAGES, True, lambda data: data[: len(data) // 2], "no whole gzip file"),
    "cut gzip trailer": (IMAGES, True, lambda data: data[:-4], "no whole gzip file"),
    "flipped bit": (IMAGES, True, lambda data: _flip(data, len(data) // 2), "no whole gzip file"),
    "checksum": (LABELS, True, lambda data: _flip(data, len(data) - 8), "no whole gzip file"),
    "not gzip": (LABELS, True, lambda data: b"<html>404</html>", "no whole gzip file"),
    "label 10": (LABELS, False, lambda data: data[:8] + b"\x0a" + data[9:], "label 10, and labels run from 0 to 9"),
    "27 pixels": (IMAGES, False, lambda data: idx_bytes(few_images()[0][:, :, 1:]), "28 x 27 pixels"),
    "fewer labels": (LABELS, False, lambda data: idx_bytes(few_images()[1][1:]), "199 labels"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_with_the_file(damage, arrays, tmp_path):
    name, gz, change, told = DAMAGES[damage]
    folder = tmp_path / "root"
    write_files(folder, arrays, gz)
    path = folder / (f"{name}.gz" if gz else name)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load_dataset("fashion-mnist", resolution=28, root=folder)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_no_flipped_bit_of_a_gzipped_file_changes_labels_unseen(arrays, tmp_path):
    write_files(tmp_path / "root", arrays, gz=True)
    path = tmp_path / "root" / f"{LABELS}.gz"
    whole = path.read_bytes()
    good = read_mnist(tmp_path / "root", "train", FACTS).labels
    found = 0
    for at in range(len(whole)):
        path.write_bytes(_flip(whole, at))
        try:
            read = read_mnist(tmp_path / "root", "train", FACTS).labels
        except DataError:
            found += 1
        else:
            assert np.array_equal(read, good), f"byte {at}"
    # Some bytes say nothing of the content: time and system in the header, what fills up the last byte.
    assert found > len(whole) - 10


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(name, arrays, tmp_path):
    write_files(tmp_path / "root", arrays, gz=True)
    (tmp_path / "root" / f"{name}.gz").unlink()
    with pytest.raises(DataError, match=f"has no {name}"):
        load_dataset("fashion-mnist", resolution=28, root=tmp_path / "root")


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_idx(tmp_path, 3)
    assert str(tmp_path) in str(caught.value)


def test_another_dataset_with_the_same_file_names_is_refused(arrays, tmp_path):
    # MNIST is mostly black: its mean is 0.13.
    darker = [arrays[0] // 2, arrays[1], arrays[2] // 2, arrays[3]]
    write_files(tmp_path / "root", darker, gz=True)
    with pytest.raises(DataError, match=r"mean 0\.1\d\d where Fashion-MNIST has 0\.286"):
        load_dataset("fashion-mnist", resolution=28, root=tmp_path / "root")


def test_a_class_without_images_is_named(arrays, tmp_path):
    kept = arrays[1] != 4
    write_files(tmp_path / "root", [arrays[0][kept], arrays[1][kept], *arrays[2:]], gz=False)
    with pytest.raises(DataError, match="no train images of Coat"):
        load_dataset("fashion-mnist", resolution=28, root=tmp_path / "root")


def test_the_unpacked_file_is_read_where_both_are(arrays, tmp_path):
    write_files(tmp_path / "root", arrays, gz=False)
    for name in NAMES:
        (tmp_path / "root" / f"{name}.gz").write_bytes(gzip.compress(b"other"))
    assert len(read_mnist(tmp_path / "root", "train", FACTS).labels) == 200
