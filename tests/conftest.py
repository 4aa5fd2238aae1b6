"""What many tests share: the bundled images and a storage folder."""

import sys

import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.module_path import VARIABLE as MODULE_FOLDERS
from glad_ray.storage import Storage

# The tests' tensors are small: one thread is faster, above all beside other work.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Datasets are prepared in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def sample(cache):
    """The bundled images at 32 pixels, 10 a class held out."""
    return load_dataset("fashion-mnist-sample", resolution=32, held_out=10)


@pytest.fixture(scope="session", autouse=True)
def no_cluster():
    """Whatever Ray cluster runs on this machine is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        yield


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path / "storage")


@pytest.fixture(autouse=True)
def module_folders(monkeypatch):
    """The folders of sweep files that a test reads are forgotten after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(MODULE_FOLDERS, "")
    monkeypatch.delenv(MODULE_FOLDERS)
