"""What every kind of place that results may lie in does; a test class inherits it and brings the fixture `storage`."""

import pickle

import pytest

from glad_ray.errors import DataError
from glad_ray.storage import Storage


class StorageSuite:
    def test_what_is_written_is_read(self, storage):
        storage.write_bytes("runs/a/run.json", b"\x00one")
        assert storage.read_bytes("runs/a/run.json") == b"\x00one"
        storage.write_bytes("runs/a/run.json", b"two, longer")
        assert storage.read_bytes("runs/a/run.json") == b"two, longer"
        storage.write_bytes("runs/a/run.json", b"")
        assert storage.read_bytes("runs/a/run.json") == b""

    def test_exists(self, storage):
        storage.write_bytes("runs/a/run.json", b"1")
        assert storage.exists("runs/a/run.json")
        assert storage.exists("runs/a")
        assert not storage.exists("runs/b")
        assert not storage.exists("runs/a/run.jso")

    def test_list_is_sorted_and_one_level_deep(self, storage):
        for name in ("step-00000100", "step-00000020", "step-00001000"):
            storage.write_bytes(f"runs/a/checkpoints/{name}.safetensors", b"1")
        storage.write_bytes("runs/a/run.json", b"1")
        assert storage.list("runs/a") == ("runs/a/checkpoints", "runs/a/run.json")
        assert storage.list("") == ("runs",)
        assert [Storage.step_of(path) for path in storage.list("runs/a/checkpoints")] == [20, 100, 1000]
        assert storage.list("nowhere") == ()

    def test_list_leaves_hidden_files_out(self, storage):
        storage.write_bytes("results/.half.parquet", b"1")
        storage.write_bytes("results/a.parquet", b"1")
        assert storage.list("results") == ("results/a.parquet",)

    def test_a_new_storage_shows_nothing(self, storage):
        assert storage.list("") == ()

    def test_delete_takes_files_and_folders_and_nothing_else(self, storage):
        for path in ("runs/a/run.json", "runs/a/sets/x", "runs/ab/run.json"):
            storage.write_bytes(path, b"1")
        storage.delete("runs/a/run.json")
        assert storage.list("runs/a") == ("runs/a/sets",)
        storage.delete("runs/a")
        assert storage.list("runs") == ("runs/ab",)
        storage.delete("runs/a")

    def test_sizes_of_all_files_below_a_folder(self, storage):
        for path, data in (("runs/a/run.json", b"1"), ("runs/a/sets/x", b"123"), ("runs/ab/run.json", b"")):
            storage.write_bytes(path, data)
        assert storage.sizes("runs/a") == {"runs/a/run.json": 1, "runs/a/sets/x": 3}
        assert storage.sizes("nowhere") == {}

    def test_a_missing_file_is_named(self, storage):
        with pytest.raises(DataError, match=r"runs/a/run\.json is missing from "):
            storage.read_bytes("runs/a/run.json")

    def test_it_travels_to_another_process(self, storage):
        storage.write_bytes("a", b"1")
        copy = pickle.loads(pickle.dumps(storage))
        assert copy == storage
        assert len(pickle.dumps(storage)) < 500
        assert copy.read_bytes("a") == b"1"

    def test_opened_again_it_holds_the_same(self, storage):
        storage.write_bytes("a", b"1")
        assert Storage.open(storage.uri, create=False).read_bytes("a") == b"1"
