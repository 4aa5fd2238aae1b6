"""Storage that fails for a while, and files that are damaged."""

import contextlib
import subprocess
import threading

import pytest

from glad_ray.cli import main
from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.progress.events import Retried, RunFailed, RunProgressed
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.faults.disk import fill, mount
from tests.faults.processes import until
from tests.faults.tables import NAMES, SWEEP, assert_nothing_twice, assert_same_table, plan
from tests.recorded import Recorded


def run(engine, made, storage, view):
    """A sweep by one of the engines."""
    if engine == "in process":
        run_in_process(made, storage, device="cpu", view=view)
    else:
        run_on_ray(made, storage, address=None, view=view)


def stop_after_step_7(made, storage):
    """A sweep in this process that is ended in the middle of its distillation."""

    class Stopped(KeyboardInterrupt):
        pass

    def stop(event):
        if isinstance(event, RunProgressed) and event.progress.step == 7:
            raise Stopped

    with pytest.raises(Stopped):
        run_in_process(made, storage, device="cpu", view=Recorded(stop))


ENGINES = ["in process", pytest.param("on Ray", marks=pytest.mark.full)]


@pytest.fixture
def disk(tmp_path):
    """A file system of 8 MiB; mounting takes root, or a namespace in which one is root (unshare -rm)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_read_only_for_a_while(engine, in_process, disk, request, view, seen):
    if engine == "on Ray":
        request.getfixturevalue("ray_session")
    storage = Storage.open(disk)
    with _trouble(storage, lambda: mount("-o", "remount,ro", str(disk)), view) as mended:
        mended(lambda: mount("-o", "remount,rw", str(disk)))
        run(engine, plan(*NAMES), storage, view)
    again = {event.error for event in view.of(Retried)}
    assert any("Read-only file system" in error for error in again)
    _assert_as_quiet(storage, in_process, view)
    seen(f"storage read-only for a while, {engine}", "again, with the system's words", "the same table")


@pytest.mark.parametrize("engine", ENGINES)
def test_disk_full_for_a_while(engine, in_process, disk, request, view, seen):
    if engine == "on Ray":
        request.getfixturevalue("ray_session")
    storage = Storage.open(disk)
    filler = disk / "filler"
    with _trouble(storage, lambda: fill(filler), view) as mended:
        mended(filler.unlink)
        run(engine, plan(*NAMES), storage, view)
    again = {event.error for event in view.of(Retried)}
    assert any("No space left on device" in error for error in again)
    _assert_as_quiet(storage, in_process, view)
    seen(f"disk full for a while, {engine}", "again, with the system's words", "the same table")


@pytest.mark.parametrize("engine", ENGINES)
def test_newest_checkpoint_truncated(engine, in_process, storage, request, view, seen):
    if engine == "on Ray":
        request.getfixturevalue("ray_session")
    folder = storage.checkpoint_folder(tiny.RUNS["dm"].run_id)
    stop_after_step_7(plan("dm"), storage)
    before, newest = storage.list(folder)
    whole = storage.read_bytes(newest)
    storage.local_path(newest).write_bytes(whole[: len(whole) // 2])
    run(engine, plan("dm"), storage, view)
    steps = [event.progress.step for event in view.of(RunProgressed)]
    if engine == "in process":
        assert steps[0] == storage.step_of(before) + 1
    assert_nothing_twice(view)
    assert_same_table(storage, in_process[0], "dm")
    seen(f"newest checkpoint truncated, {engine}", "nothing", f"goes on from step {storage.step_of(before)}")


@pytest.mark.parametrize("engine", ENGINES)
def test_entries_of_the_ledger_half_written(engine, in_process, storage, request, view, seen):
    if engine == "on Ray":
        request.getfixturevalue("ray_session")
    run_in_process(plan("random"), storage, device="cpu", view=view)
    stop_after_step_7(plan(*NAMES), storage)
    entries = [path for path in storage.tree(Storage.RUNS) if "/ledger/" in path]
    assert {path.rpartition("/")[2].partition("-")[0] for path in entries} >= {"distilled.json", "checkpoint.json"}
    for path in entries:
        whole = storage.read_bytes(path)
        storage.local_path(path).write_bytes(whole[: len(whole) // 2])
    run(engine, plan(*NAMES), storage, view)
    steps = [event.progress.step for event in view.of(RunProgressed) if event.run == tiny.RUNS["dm"]]
    if engine == "in process":
        assert steps[0] == 8
    assert_nothing_twice(view)
    for name in NAMES:
        assert_same_table(storage, in_process[0], name)
    seen(f"entries of the ledger half-written, {engine}", "nothing", "the files decide: goes on from step 7")


@contextlib.contextmanager
def _trouble(storage, begin, view):
    """Trouble from the first checkpoint on, until something was tried again because of it."""
    folder, mend = storage.checkpoint_folder(tiny.RUNS["dm"].run_id), []

    def happen():
        until(lambda: storage.list(folder))
        begin()
        until(lambda: view.of(Retried))
        mend[0]()

    thread = threading.Thread(target=happen, daemon=True)
    thread.start()
    yield mend.append
    thread.join(60)


def _assert_as_quiet(storage, in_process, view):
    assert not view.of(RunFailed)
    assert_nothing_twice(view)
    for name in NAMES:
        assert_same_table(storage, in_process[0], name)


def test_disk_full_at_the_start(disk, capfd, seen):
    fill(disk / "filler")
    assert main(["sweep", str(SWEEP), "--storage", str(disk), "--in-process"]) == 1
    told = capfd.readouterr().err
    assert told.startswith("glad-ray: OSError: [Errno 28] No space left on device: what is finished is kept;")
    assert told.count("\n") == 1
    seen(
        "disk full when a command is given", "one sentence; exit code 1", "the same command goes on once there is room"
    )
