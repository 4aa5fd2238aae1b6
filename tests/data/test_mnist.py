import numpy as np
import pytest
import torchvision

from glad_ray.data import load_dataset
from glad_ray.errors import DataError
from tests.data.files import few_images, write_files


@pytest.fixture(scope="module")
def digits():
    """Images as dark as MNIST's."""
    images, labels, test_images, test_labels = few_images()
    return [images // 2, labels, test_images // 2, test_labels]


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("folder", [".", "MNIST/raw", "mnist"])
def test_every_layout_is_read(folder, gz, digits, tmp_path):
    write_files(tmp_path / "root" / folder, digits, gz)
    dataset = load_dataset("mnist", resolution=28, root=tmp_path / "root")
    assert dataset.class_names == tuple("0123456789")
    assert dataset.train_images.shape == (200, 1, 28, 28)
    for label in range(10):
        own = digits[0][digits[1] == label]
        assert np.array_equal(dataset.train_images[dataset.train_labels == label, 0], own)


def test_the_same_as_torchvision_reads(digits, tmp_path):
    write_files(tmp_path / "MNIST" / "raw", digits, gz=False)
    theirs = torchvision.datasets.MNIST(tmp_path, train=False)
    ours = load_dataset("mnist", resolution=28, root=tmp_path)
    order = np.argsort(theirs.targets.numpy(), kind="stable")
    assert np.array_equal(ours.test_images[:, 0], theirs.data.numpy()[order])


def test_fashion_mnist_under_the_same_names_is_refused(tmp_path):
    write_files(tmp_path / "mnist", few_images(), gz=True)
    with pytest.raises(DataError, match=r"mean 0\.2\d\d where MNIST has 0\.131"):
        load_dataset("mnist", resolution=28, root=tmp_path)


def test_a_missing_file_is_named(digits, tmp_path):
    write_files(tmp_path / "mnist", digits, gz=True)
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"has no t10k-labels-idx1-ubyte .* one of the four files of MNIST"):
        load_dataset("mnist", resolution=28, root=tmp_path)
