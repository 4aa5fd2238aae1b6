import pickle
from dataclasses import replace

import numpy as np
import pytest
import torchvision

from glad_ray.data import load_dataset
from glad_ray.data.readers.cifar import find, read_cifar
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DATASETS
from tests.data.python2 import python2_pickle

# Per batch: two images of each class.
BATCHES = {
    "cifar10": ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"),
    "cifar100": ("train", "test"),
}
PYTHON_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
BINARY_FOLDERS = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}
LABELS = {"cifar10": "labels", "cifar100": "fine_labels"}


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request, monkeypatch):
    """A dataset that is thought to have as many images as the files here."""
    facts = DATASETS[request.param]
    batch = 2 * facts.classes
    small = replace(facts, train_images=batch * (len(BATCHES[facts.name]) - 1), test_images=batch)
    monkeypatch.setitem(DATASETS, facts.name, small)
    return facts.name


def batches(name):
    """By file, pixels and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(DATASETS[name].classes), 2)
    return {
        file: (rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8), rng.permutation(labels))
        for file in BATCHES[name]
    }


def python_batch(name, pixels, labels):
    return {
        "batch_label": "training batch 1 of 5",
        LABELS[name]: [int(label) for label in labels],
        "coarse_labels": [0] * len(labels),
        "data": pixels,
        "filenames": [f"image_{number}.png" for number in range(len(labels))],
    }


def write_python(root, name):
    folder = root / PYTHON_FOLDERS[name]
    folder.mkdir(parents=True)
    for file, (pixels, labels) in batches(name).items():
        (folder / file).write_bytes(python2_pickle(python_batch(name, pixels, labels)))
    return folder


def write_binary(root, name):
    folder = root / BINARY_FOLDERS[name]
    folder.mkdir(parents=True)
    for file, (pixels, labels) in batches(name).items():
        columns = [labels[:, None].astype(np.uint8), pixels]
        if name == "cifar100":
            columns.insert(0, np.full((len(labels), 1), 7, np.uint8))
        (folder / f"{file}.bin").write_bytes(np.concatenate(columns, axis=1).tobytes())
    return folder


WRITERS = {"python": write_python, "binary": write_binary}


@pytest.mark.parametrize("version", WRITERS)
def test_both_versions_are_read(version, name, tmp_path):
    WRITERS[version](tmp_path, name)
    folder = find(DATASETS[name], tmp_path)
    splits = {split: read_cifar(folder, split, DATASETS[name]) for split in ("train", "test")}
    *train, test = batches(name).values()
    for split, expected in (("train", train), ("test", [test])):
        assert np.array_equal(splits[split].images, np.concatenate([p for p, _ in expected]).reshape(-1, 3, 32, 32))
        assert np.array_equal(splits[split].labels, np.concatenate([labels for _, labels in expected]))
        assert splits[split].labels.dtype == np.int64


def test_the_test_writes_what_python_2_did(name, tmp_path):
    folder = write_python(tmp_path, name)
    file, (pixels, labels) = next(iter(batches(name).items()))
    # As torchvision reads it.
    theirs = pickle.loads((folder / file).read_bytes(), encoding="latin1")
    assert np.array_equal(theirs["data"], pixels)
    assert theirs[LABELS[name]] == labels.tolist()


def test_loaded_by_class_at_another_resolution(name, tmp_path):
    write_python(tmp_path, name)
    dataset = load_dataset(name, resolution=16, held_out=1, root=tmp_path)
    classes = DATASETS[name].classes
    assert dataset.test_images.shape == (2 * classes, 3, 16, 16)
    assert np.array_equal(dataset.held_out_labels, np.arange(classes))


def test_the_folders_and_classes_are_torchvisions():
    for name, theirs in (("cifar10", torchvision.datasets.CIFAR10), ("cifar100", torchvision.datasets.CIFAR100)):
        assert theirs.base_folder == PYTHON_FOLDERS[name]
        # The files number the classes in the order of the alphabet.
        assert list(DATASETS[name].class_names) == sorted(DATASETS[name].class_names)


def test_nothing_found_says_where_and_how(name, tmp_path):
    with pytest.raises(UserError, match="was not found") as caught:
        load_dataset(name, resolution=32, root=tmp_path)
    for told in (str(tmp_path / PYTHON_FOLDERS[name]), f"torchvision.datasets.{name.upper()}", "GLAD_RAY_DATA"):
        assert told in str(caught.value)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def _few(pixels=None, labels=None, key="labels"):
    pixels = np.zeros((20, 3072), np.uint8) if pixels is None else pixels
    return {"data": pixels, key: list(range(10)) * 2 if labels is None else labels}


PICKLES = {
    "cut": (lambda data: data[: len(data) // 2], "is damaged, or no batch"),
    "empty": (lambda data: b"", "is damaged, or no batch"),
    "executes": (lambda data: pickle.dumps(Evil(), 2), "is damaged, or no batch"),
    "a list": (lambda data: python2_pickle([1]), "is damaged, or no batch"),
    "cifar100": (lambda data: python2_pickle(_few(key="fine_labels")), "is damaged, or no batch of CIFAR-10"),
    "label 10": (lambda data: python2_pickle(_few(labels=[*range(5), 10] * 2 + [0] * 8)), "label 10, and labels run"),
    "label -1": (lambda data: python2_pickle(_few(labels=[-1] * 20)), "label -1, and labels run from 0 to 9"),
    "huge label": (lambda data: python2_pickle(_few()).replace(b"J\x09\0\0\0", b"\x8a\x09" + b"\1" * 9), "no batch"),
    "fewer labels": (lambda data: python2_pickle(_few(labels=[1] * 19)), "19 labels and an array of 20 x 3072 bytes"),
    "fewer pixels": (lambda data: python2_pickle(_few(np.zeros((20, 3071), np.uint8))), "20 x 3071 bytes"),
    "other numbers": (lambda data: python2_pickle(_few(np.zeros((20, 3072), np.int8))), "no batch"),
    "by columns": (lambda data: python2_pickle(_few(np.zeros((3072, 20), np.uint8).T)), "no batch"),
    "claims more": (
        lambda data: python2_pickle(_few()).replace(b"J\x14\0\0\0J\0\x0c\0\0", b"J\x15\0\0\0J\0\x0c\0\0"),
        "no batch",
    ),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_bad_pickle_is_named_and_never_executed(case, tmp_path, capsys):
    change, told = PICKLES[case]
    folder = write_python(tmp_path, "cifar10")
    path = folder / "data_batch_2"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=told) as caught:
        load_dataset("cifar10", resolution=32, root=tmp_path)
    assert str(path) in str(caught.value)
    assert capsys.readouterr().out == ""


BINARIES = {
    "cut": (lambda data: data[:-1], "no whole number of images of 3073 bytes"),
    "cifar100": (lambda data: b"\0" * 3074 * 20, "no whole number of images of 3073 bytes"),
    "label 10": (lambda data: b"\x0a" + data[1:], "label 10, and labels run from 0 to 9"),
}


@pytest.mark.parametrize("case", BINARIES)
def test_a_bad_binary_is_named(case, tmp_path):
    change, told = BINARIES[case]
    path = write_binary(tmp_path, "cifar10") / "data_batch_2.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=told) as caught:
        load_dataset("cifar10", resolution=32, root=tmp_path)
    assert str(path) in str(caught.value)


def test_a_binary_cut_between_images_is_found_by_their_number(name, tmp_path):
    folder = write_binary(tmp_path, name)
    path = folder / f"{BATCHES[name][0]}.bin"
    path.write_bytes(path.read_bytes()[: -(3073 if name == "cifar10" else 3074)])
    expected = DATASETS[name].train_images
    with pytest.raises(DataError, match=f"has {expected - 1} train images and CIFAR-.* has {expected}"):
        load_dataset(name, resolution=32, root=tmp_path)


def test_a_missing_batch_is_named(name, tmp_path):
    folder = write_python(tmp_path, name)
    (folder / BATCHES[name][0]).unlink()
    with pytest.raises(DataError, match=f"has no {BATCHES[name][0]} or .*bin, one of the batches"):
        load_dataset(name, resolution=32, root=tmp_path)
