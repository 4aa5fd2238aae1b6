"""Storage on a real object store: everything it does, large files, many writers, refusals."""

import io
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from glad_ray.data import load_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.errors import DataError, UserError
from glad_ray.progress.driver import driving, read_driver
from glad_ray.storage import Storage
from tests.cluster.swift import swift
from tests.data.trees import write_classes
from tests.storage.suite import StorageSuite

MIB = 2**20
BUCKET = "glad-ray"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with swift(tmp_path_factory.mktemp("swift") / "store") as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        store.make_bucket(BUCKET)
        yield store


@pytest.fixture
def storage(store):
    return Storage.open(store.uri(f"{BUCKET}/{uuid.uuid4().hex}"))


class TestOnSwift(StorageSuite):
    """The suite of every kind of place."""


@pytest.mark.parametrize("mib", [1, 6, 30])
def test_large_files(storage, mib):
    content = np.random.default_rng(mib).bytes(mib * MIB)
    storage.write_bytes("experts/x/expert-0000.arrow", content)
    assert storage.read_bytes("experts/x/expert-0000.arrow") == content
    with storage.open_file("experts/x/expert-0000.arrow") as file:
        file.seek(len(content) - 10)
        assert file.read(10) == content[-10:]
    storage.write_bytes("experts/x/expert-0000.arrow", b"short")
    assert storage.read_bytes("experts/x/expert-0000.arrow") == b"short"


def test_copies_of_files_pass_in_pieces(storage, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(np.random.default_rng(0).bytes(128 * MIB))
    storage.upload(source, "prepared.arrow")
    storage.download("prepared.arrow", target)
    assert pa.default_memory_pool().max_memory() < 100 * MIB
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(DataError, match=r"nowhere\.arrow is missing from s3://"):
        storage.download("nowhere.arrow", target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_an_upload_that_is_left_early_leaves_nothing(storage, tmp_path):
    class Cut(type(tmp_path)):
        def open(self, mode):
            return _Cut()

    with pytest.raises(KeyboardInterrupt):
        storage.upload(Cut(tmp_path), "prepared.arrow")
    assert not storage.exists("prepared.arrow")
    assert storage.tree("") == ()


class _Cut(io.BytesIO):
    """Gives some pieces, and then somebody presses Ctrl-C."""

    pieces = 2

    def read(self, size):
        if not self.pieces:
            raise KeyboardInterrupt
        self.pieces -= 1
        return b"1" * size


def test_many_writers_and_whole_files(storage):
    contents = [bytes([letter]) * 6 * MIB for letter in b"abcd"]

    def write(content):
        for _ in range(5):
            storage.write_bytes("file", content)

    with ThreadPoolExecutor(len(contents)) as executor:
        ended = [executor.submit(write, content) for content in contents]
        seen = set()
        while not all(each.done() for each in ended):
            if storage.exists("file"):
                seen.add(storage.read_bytes("file"))
        for each in ended:
            each.result()
    assert seen <= set(contents)
    assert storage.read_bytes("file") in contents


def test_a_deleted_folder_leaves_nothing(storage):
    for path in ("runs/a/checkpoints/1", "runs/a/sets/deep/x", "runs/a/run.json", "runs/b/run.json"):
        storage.write_bytes(path, b"1")
    storage.delete("runs/a")
    assert storage.tree("") == ("runs/b/run.json",)
    assert not storage.exists("runs/a/sets")
    assert not storage.exists("runs/a")
    assert storage.list("runs") == ("runs/b",)


def test_a_store_that_refuses_is_told_and_takes_writes_again(store, storage):
    storage.write_bytes("file", b"old")
    store.refuse()
    try:
        with pytest.raises(OSError, match="SERVICE_UNAVAILABLE"):
            storage.write_bytes("file", b"new")
        with pytest.raises(
            UserError, match=r"cannot be used for results: .*SERVICE_UNAVAILABLE.*; name a folder"
        ) as told:
            Storage.open(storage.uri)
    finally:
        store.resume()
    assert store.secret not in str(told.value)
    assert storage.read_bytes("file") == b"old"
    storage.write_bytes("file", b"new")
    assert storage.read_bytes("file") == b"new"


def test_wrong_credentials_are_told(storage, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(UserError, match="cannot be used for results") as told:
        Storage.open(storage.uri)
    assert "another" not in str(told.value)


def test_one_driver_at_a_time(storage):
    with driving(storage):
        assert read_driver(storage).process == os.getpid()
        with pytest.raises(UserError, match="is driven by process"), driving(storage):
            pass
    assert read_driver(storage) is None


def test_prepared_images_are_kept_for_other_machines(storage, tmp_path, monkeypatch):
    classes = dict.fromkeys(("ant", "bee"), 3)
    write_classes(tmp_path / "own", {"train": classes, "test": classes})
    monkeypatch.setenv(CACHE_VARIABLE, storage.uri)
    monkeypatch.setenv("HOME", str(tmp_path / "first"))
    first = load_dataset(f"folder:{tmp_path / 'own'}", resolution=8)
    (kept,) = storage.list("")
    monkeypatch.setenv("HOME", str(tmp_path / "second"))
    again = load_dataset(f"folder:{tmp_path / 'own'}", resolution=8, decode=lambda parts, form: pytest.fail("again"))
    assert np.array_equal(again.train_images, first.train_images)
    assert (tmp_path / "second" / ".cache" / "glad_ray" / kept).read_bytes() == storage.read_bytes(kept)
