import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from glad_ray.errors import DataError, UserError
from glad_ray.storage import Storage
from glad_ray.whole_files import remove_leftovers
from tests.object_store import ObjectStore, object_store
from tests.storage.suite import StorageSuite


@pytest.fixture(params=["folder", "file-uri", "object-store"])
def storage(request, tmp_path):
    """One suite for every kind of place; the object store is in memory."""
    where = {
        "folder": str(tmp_path / "a folder" / "results"),
        "file-uri": (tmp_path / "a folder").as_uri(),
        "object-store": f"{object_store()}/results",
    }
    return Storage.open(where[request.param])


class TestFiles(StorageSuite):
    """The suite of every kind of place."""


def test_the_object_store_in_memory_shows_objects_whole():
    store, path = fsspec.filesystem(ObjectStore.protocol), f"/{uuid.uuid4().hex}/claim.json"
    for content in (b"one", b"two"):
        with store.open(path, "wb") as new:
            new.write(content)
            assert store.exists(path) == (content == b"two")
        assert store.cat(path) == content
    with store.open(path) as first, store.open(path) as second:
        assert first.read(1) + second.read() == b"ttwo"


def test_local_path_is_where_the_file_lies(tmp_path):
    storage = Storage.open(tmp_path)
    storage.write_bytes("experts/x/expert-0000.arrow", b"123")
    path = storage.local_path("experts/x/expert-0000.arrow")
    assert path == tmp_path / "experts/x/expert-0000.arrow"
    assert path.read_bytes() == b"123"
    assert Storage.open(object_store()).local_path("a") is None


def test_names_of_files():
    assert Storage.PLAN == "plan.json"
    assert Storage.REPORT == "report/index.html"
    assert Storage.expert_path("e1", 3) == "experts/e1/expert-0003.arrow"
    assert Storage.run_path("r1") == "runs/r1/run.json"
    assert Storage.checkpoint_path("r1", 100) == "runs/r1/checkpoints/step-00000100.safetensors"
    assert Storage.set_path("r1", 100) == "runs/r1/sets/step-00000100.safetensors"
    assert Storage.synthetic_set_path("r1") == "runs/r1/synthetic_set.safetensors"
    assert Storage.images_path("r1") == "runs/r1/images.png"
    assert Storage.losses_path("r1") == "runs/r1/losses.parquet"
    assert Storage.distillation_path("r1") == "runs/r1/distillation.json"
    assert Storage.failure_path("r1") == "runs/r1/failure.json"
    assert Storage.trainings_path("r1", "v1", "vit-w64") == "runs/r1/evaluations/v1/vit-w64.parquet"
    assert Storage.results_path("r1", "v1") == "results/r1-v1.parquet"
    for folder, path in (
        (Storage.run_folder("r1"), Storage.run_path("r1")),
        (Storage.checkpoint_folder("r1"), Storage.checkpoint_path("r1", 1)),
        (Storage.set_folder("r1"), Storage.set_path("r1", 1)),
        (Storage.RUNS, Storage.run_folder("r1")),
        (Storage.RESULTS, Storage.results_path("r1", "v1")),
    ):
        assert Path(path).parent == Path(folder)


class TestOpen:
    def test_a_relative_folder_stays_where_it_was(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        storage = Storage.open("results")
        monkeypatch.chdir("/")
        storage.write_bytes("a", b"1")
        assert (tmp_path / "results" / "a").read_bytes() == b"1"

    def test_a_folder_of_any_name(self, tmp_path):
        storage = Storage.open(tmp_path / "50 % #1?x=ü")
        storage.write_bytes("a", b"1")
        assert storage.list("") == ("a",)

    @pytest.mark.parametrize(
        ("where", "said"),
        [
            ("foo://bucket/x", "Unrecognized filesystem type"),
            ("s3:/bucket/x", "Missing bucket name"),
            ("hdfs://host/x", "does not write a file whole"),
            ("/dev/null/x", "a file is in the way"),
            ("/proc/results", "cannot be used for results"),
        ],
    )
    def test_a_place_that_cannot_be_used(self, where, said):
        with pytest.raises(UserError, match=said) as raised:
            Storage.open(where)
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith(where)

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "x").write_bytes(b"")
        with pytest.raises(UserError, match="a file is in the way"):
            Storage.open(tmp_path / "x")

    def test_a_folder_that_should_be_there(self, tmp_path):
        with pytest.raises(UserError, match="There is no folder"):
            Storage.open(tmp_path / "x", create=False)
        assert not (tmp_path / "x").exists()

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://me:secret@bucket/x?endpoint_override=host:1",
            "s3://me:secret/with/slash@bucket/x",
            "s3://me:secret@with@at@bucket/x",
            "gs://me:secret@bucket/x",
        ],
    )
    def test_a_password_is_refused_and_not_said(self, uri):
        with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment") as raised:
            Storage.open(uri)
        assert "bucket/x cannot be used with a password in it" in str(raised.value)
        assert "secret" not in str(raised.value) + repr(Storage(uri)) + str(Storage(uri))

    def test_a_name_alone_is_no_password(self):
        # gs:// with nobody's name is how a public bucket is read.
        storage = Storage("gs://anonymous@bucket/x")
        assert storage.local_path("a") is None
        assert str(storage) == "gs://bucket/x"

    def test_options_are_not_said(self):
        assert str(Storage("s3://bucket/x?endpoint_override=host:1")) == "s3://bucket/x"


class TestCopies:
    def test_a_file_goes_there_and_back(self, storage, tmp_path):
        source, target = tmp_path / "source", tmp_path / "deep" / "target"
        source.write_bytes(b"one")
        storage.upload(source, "a/b")
        assert storage.read_bytes("a/b") == b"one"
        storage.write_bytes("a/b", b"two")
        storage.download("a/b", target)
        assert target.read_bytes() == b"two"

    def test_what_is_not_there_is_told_and_leaves_what_was(self, storage, tmp_path):
        target = tmp_path / "target"
        target.write_bytes(b"old")
        with pytest.raises(DataError, match="a/b is missing from"):
            storage.download("a/b", target)
        with pytest.raises(FileNotFoundError):
            storage.upload(tmp_path / "nowhere", "a/b")
        assert target.read_bytes() == b"old"
        assert not storage.exists("a/b")


WRITER = """
import sys
from glad_ray.storage import Storage
storage = Storage(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in b"ab":
        storage.write_bytes("file", bytes([letter]) * 3_000_000)
"""


class TestCrash:
    def test_readers_see_whole_files_whatever_dies(self, tmp_path):
        storage = Storage.open(tmp_path)
        seen = set()
        for delay in (0.05, 0.11, 0.17):
            writers = [
                subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) for _ in "12"
            ]
            for writer in writers:
                writer.stdout.readline()
            end = time.monotonic() + delay
            while time.monotonic() < end or not storage.exists("file"):
                if storage.exists("file"):
                    seen.add(storage.read_bytes("file"))
            for writer in writers:
                writer.send_signal(signal.SIGKILL)
                writer.communicate()
            seen.add(storage.read_bytes("file"))
            assert storage.list("") == ("file",)
        assert seen <= {b"a" * 3_000_000, b"b" * 3_000_000}
        assert Storage.open(tmp_path).read_bytes("file") in seen

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(self, tmp_path):
        code = """
import resource, signal, sys
from glad_ray.storage import Storage
storage = Storage(sys.argv[1])
storage.write_bytes("file", b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    storage.write_bytes("file", b"x" * 5000)
except OSError as error:
    print(error.strerror)
"""
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        assert "too large" in done.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_bytes() == b"old"

    def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(self, tmp_path):
        storage = Storage.open(tmp_path)
        storage.write_bytes("runs/a/run.json", b"1")
        dead, living = (tmp_path / f"runs/a/.x.{digit * 32}.partial" for digit in "12")
        others = [tmp_path / name for name in ("runs/a/.hidden", "runs/a/.film.partial", f"mine/.x.{'3' * 32}.partial")]
        (tmp_path / "mine").mkdir()
        for path in (dead, living, *others):
            path.write_bytes(b"half")
        for path in (dead, *others):
            os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
        assert storage.list("runs/a") == ("runs/a/run.json",)
        Storage.open(tmp_path)
        assert not dead.exists()
        assert living.exists()
        assert all(other.exists() for other in others)
        assert storage.read_bytes("runs/a/run.json") == b"1"

    def test_leftovers_are_judged_by_the_clock_of_the_storage(self, tmp_path, monkeypatch):
        living = tmp_path / ".x.1.partial"
        living.write_bytes(b"half")
        monkeypatch.setattr(time, "time", lambda: 4e9)
        Storage.open(tmp_path)
        assert living.exists()

    def test_times_are_those_at_which_files_were_written(self, tmp_path):
        storage = Storage.open(tmp_path)
        for path in ("runs/a", "runs/b"):
            storage.write_bytes(path, b"1")
        os.utime(tmp_path / "runs/a", (1e9, 1e9))
        assert storage.times("runs")["runs/a"] == storage.modified("runs/a") == 1e9
        assert storage.times("runs")["runs/b"] > 1e9
        assert storage.modified("runs/c") is None


def test_a_folder_that_goes_while_it_is_listed_is_not_there(tmp_path):
    storage, ended = Storage.open(tmp_path / "storage"), threading.Event()
    folder = tmp_path / "storage" / "runs" / "a"
    folder.mkdir(parents=True)

    def come_and_go():
        while not ended.is_set():
            (folder / "checkpoints").mkdir()
            (folder / "checkpoints").rmdir()

    going = threading.Thread(target=come_and_go)
    going.start()
    try:
        for _ in range(5000):
            assert storage.list("runs/a/checkpoints") == ()
            assert storage.tree("runs") == ()
            remove_leftovers(tmp_path / "storage", ["runs"], 0)
    finally:
        ended.set()
        going.join()
