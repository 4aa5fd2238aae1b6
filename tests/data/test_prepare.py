import errno
import os
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import torch

from glad_ray.data import load_dataset
from glad_ray.data.dataset import Split
from glad_ray.data.prepare import CACHE_VARIABLE, cache_folder, decode_here
from glad_ray.errors import DataError, UnavailableError, UserError
from tests.data.trees import encoded, noise, write_classes

SIDE = 8
CLASSES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    """Three classes of four training images and two test images."""
    write_classes(tmp_path / "own", {"train": dict.fromkeys(CLASSES, 4), "test": dict.fromkeys(CLASSES, 2)})
    return tmp_path / "own"


def load(tree, **options):
    return load_dataset(f"folder:{tree}", **({"resolution": SIDE} | options))


def files(folder):
    """Without the hidden ones, which lock."""
    return sorted(path for path in folder.rglob("[!.]*") if path.is_file())


def never(parts, form):
    raise AssertionError("it was prepared before")


def same(one, other):
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("train_images", "train_labels", "test_images")]
    return all(np.array_equal(*pair) for pair in pairs)


def test_prepared_images_are_one_file_that_other_tools_can_read(tree, cache):
    dataset = load(tree)
    (path,) = files(cache)
    assert path.parent == cache
    assert not list(cache.glob("*.parts"))
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.column_names == ["image", "label", "split"]
    assert table["split"].to_pylist() == ["train"] * 12 + ["test"] * 6
    assert table["label"].to_pylist() == [0] * 4 + [1] * 4 + [2] * 4 + [0, 0, 1, 1, 2, 2]
    assert np.array_equal(table["image"][5].values.to_numpy().reshape(3, SIDE, SIDE), dataset.train_images[5])


def test_a_prepared_dataset_is_read_from_the_cache_alone(tree):
    first, told = load(tree), []
    assert same(load(tree, decode=never, on_progress=lambda *progress: told.append(progress)), first)
    assert told == []


def test_prepared_images_are_mapped_and_cannot_be_changed(tree):
    images = load(tree).train_images
    assert not images.flags.writeable
    assert not images.flags.owndata


@pytest.mark.parametrize("change", ["replaced", "added", "resolution", "antialias"])
def test_what_changes_is_prepared_anew(change, tree, cache):
    load(tree)
    options = {}
    if change == "replaced":
        (tree / "train" / "bee" / "bee_0.png").write_bytes(encoded(noise((9, 9))))
    if change == "added":
        (tree / "train" / "bee" / "more.png").write_bytes(encoded(noise((9, 9))))
    if change == "resolution":
        options = {"resolution": SIDE - 1}
    if change == "antialias":
        options = {"antialias": False}
    dataset = load(tree, **options)
    assert len(dataset.train_labels) == (13 if change == "added" else 12)
    assert len(files(cache)) == 2


def test_a_moved_dataset_is_not_prepared_anew(tree):
    first = load(tree)
    moved = tree.parent / "elsewhere" / "own"
    moved.parent.mkdir()
    tree.rename(moved)
    for path in files(moved):
        os.utime(path, ns=(0, 0))
    assert same(load(moved, decode=never), first)


def _interrupt_after(count):
    def on_progress(done, total):
        if done >= count:
            raise KeyboardInterrupt

    return on_progress


def test_an_interrupted_preparation_goes_on_with_the_parts_that_are_there(tree, tmp_path, monkeypatch):
    whole = load(tree)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        load(tree, on_progress=_interrupt_after(10))
    told = []
    assert same(load(tree, on_progress=lambda *progress: told.append(progress)), whole)
    assert told == [(8, 18), (12, 18), (14, 18), (16, 18), (17, 18), (18, 18)], "the last when all are one file"
    assert [path.suffix for path in files(tmp_path / "other")] == [".arrow"]


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0 half", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_part_is_prepared_again(damage, tree, cache, tmp_path, monkeypatch):
    whole = load(tree)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        load(tree, on_progress=_interrupt_after(10))
    parts = files(tmp_path / "other")
    assert len(parts) == 2
    for part in parts:
        part.write_bytes(part.read_bytes()[:-50] if damage is None else damage)
    assert same(load(tree), whole)


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0 half", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_file_is_told(damage, tree, cache):
    load(tree)
    (path,) = files(cache)
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    with pytest.raises(DataError, match="is damaged, or no file that was prepared here: delete it") as caught:
        load(tree)
    assert str(path) in str(caught.value)
    path.unlink()
    assert len(load(tree).train_labels) == 12


def test_another_prepared_file_in_its_place_is_told(tree, cache):
    load(tree)
    (first,) = files(cache)
    (tree / "train" / "bee" / "bee_0.png").write_bytes(encoded(noise((9, 9))))
    load(tree)
    (second,) = set(files(cache)) - {first}
    second.write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="no file that was prepared here"):
        load(tree)


def test_a_foreign_arrow_file_in_its_place_is_told(tree, cache):
    load(tree)
    (path,) = files(cache)
    table = pa.table({"image": [1]})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="no file that was prepared here"):
        load(tree)


def test_an_image_that_fails_leaves_no_half_file(tree, cache):
    broken = tree / "train" / "bee" / "bee_2.png"
    good = broken.read_bytes()
    # Its header is whole.
    broken.write_bytes(good[:-40])
    with pytest.raises(DataError, match=r"bee_2\.png is no whole image"):
        load(tree)
    assert [path.suffix for path in files(cache)] == [".arrow"], "the first class"
    broken.write_bytes(good)
    assert len(load(tree).train_labels) == 12


def test_parts_may_come_in_any_order_and_in_pieces_of_any_size(tree, tmp_path, monkeypatch):
    first = load(tree)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))

    def decode(parts, form):
        for part, batches in reversed([(part, list(batches)) for part, batches in decode_here(parts, form)]):
            yield part, [Split(batch.images[[i]], batch.labels[[i]]) for batch in batches for i in range(len(batch[1]))]

    threads = torch.get_num_threads()
    assert same(load(tree, decode=decode), first)
    assert torch.get_num_threads() == threads


def test_what_cannot_be_decoded_elsewhere_is_told_as_here(tree):
    def decode(parts, form):
        yield parts[0], iter(())
        raise DataError("bee_0.png is no image")

    with pytest.raises(DataError, match=r"bee_0\.png is no image"):
        load(tree, decode=decode)


def test_a_second_process_waits_and_is_told_how_far_the_first_is(tree, cache, monkeypatch):
    monkeypatch.setattr("glad_ray.data.prepare.WAIT_SECONDS", 0.01)
    waiting = threading.Event()
    told, decoded = [], []

    def slowly(parts, form):
        for part, batches in decode_here(parts, form):
            decoded.append(part)
            yield part, batches
            if len(decoded) == 2:
                waiting.wait(30)

    first = threading.Thread(target=lambda: load(tree, decode=slowly))
    first.start()
    while len(decoded) < 2:
        time.sleep(0.01)

    def on_progress(done, total):
        told.append((done, total))
        if done == 8:
            waiting.set()

    dataset = load(tree, decode=never, on_progress=on_progress)
    first.join()
    assert len(dataset.train_labels) == 12
    assert (8, 18) in told
    assert len(decoded) == 6
    assert [path.suffix for path in files(cache)] == [".arrow"]


def test_a_file_system_without_locks_is_used_without(tree, cache, monkeypatch):
    def acquire(self, **options):
        raise NotImplementedError("no flock")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    assert len(load(tree).train_labels) == 12
    assert [path.suffix for path in files(cache)] == [".arrow"]


def test_two_at_once_do_not_disturb_each_other(tree):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load(tree))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(same(dataset, found[0]) for dataset in found)


def test_a_cache_that_cannot_be_written_is_told(tree, cache, monkeypatch):
    cache.write_text("a file in the way")
    with pytest.raises(UserError, match=f"cannot be kept in .* or set {CACHE_VARIABLE} to another folder"):
        load(tree)


def test_the_cache_is_in_the_home_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "glad_ray"


class TestKeptForOthers:
    """Where the cache is a URI; here of a folder, which is read and written as an object store is."""

    @pytest.fixture(autouse=True)
    def shared(self, monkeypatch, tmp_path):
        monkeypatch.setenv(CACHE_VARIABLE, (tmp_path / "shared").as_uri())
        self.on(monkeypatch, tmp_path / "first")
        return tmp_path / "shared"

    @staticmethod
    def on(monkeypatch, home):
        """Another machine, which has its own home."""
        monkeypatch.setenv("HOME", str(home))

    def test_another_machine_takes_what_the_first_prepared(self, tree, shared, monkeypatch, tmp_path):
        first = load(tree)
        (kept,), (own,) = files(shared), files(tmp_path / "first")
        assert own == tmp_path / "first" / ".cache" / "glad_ray" / kept.name
        assert kept.read_bytes() == own.read_bytes()
        self.on(monkeypatch, tmp_path / "second")
        assert same(load(tree, decode=never), first)
        assert [path.name for path in files(tmp_path / "second")] == [kept.name]

    def test_a_machine_that_has_it_asks_nobody(self, tree, shared, monkeypatch):
        first = load(tree)
        for path in files(shared):
            path.unlink()
        assert same(load(tree, decode=never), first)
        assert files(shared) == []

    @pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0 half", None], ids=["empty", "garbage", "cut"])
    def test_what_is_damaged_there_is_prepared_anew(self, damage, tree, shared, monkeypatch, tmp_path):
        first = load(tree)
        (kept,) = files(shared)
        whole = kept.read_bytes()
        kept.write_bytes(whole[:-50] if damage is None else damage)
        self.on(monkeypatch, tmp_path / "second")
        assert same(load(tree), first)
        assert kept.read_bytes() == whole

    def test_a_place_that_cannot_be_written_is_told(self, tree, shared):
        shared.write_text("a file in the way")
        with pytest.raises(UserError, match=f"cannot be kept in .*shared .* set {CACHE_VARIABLE} to another folder"):
            load(tree)

    def test_it_goes_on_when_the_place_can_be_written_again(self, tree, shared):
        shared.write_text("a file in the way")
        with pytest.raises(UserError):
            load(tree)
        shared.unlink()
        assert len(load(tree, decode=lambda parts, form: pytest.fail("parts were there")).train_labels) == 12
        assert len(files(shared)) == 1


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EIO, UnavailableError), (errno.EMFILE, UnavailableError), (errno.EACCES, DataError)]
)
def test_a_prepared_file_that_cannot_be_read_is_not_damaged(number, kind, tree, monkeypatch):
    load(tree)

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pa, "memory_map", fail)
    with pytest.raises(kind, match=os.strerror(number)) as caught:
        load(tree)
    assert type(caught.value) is kind
    assert "delete" not in str(caught.value)


def test_facts_follow_the_folder(tree):
    assert load(tree).class_names == CLASSES
    for split in ("train", "test"):
        (tree / split / "dog").mkdir()
        (tree / split / "dog" / "0.png").write_bytes(encoded(noise((9, 9))))
    assert load(tree).class_names == (*CLASSES, "dog")
    for split in ("train", "test"):
        (tree / split / "ant").rename(tree / split / "eel")
    assert load(tree).class_names == ("bee", "cat", "dog", "eel")
