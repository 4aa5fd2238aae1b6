"""A tracker whose disk is full, while the sweep's own has room."""

import subprocess

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import make_plan
from glad_ray.progress.events import TrackerFailed
from glad_ray.spec import Resources
from glad_ray.trackers.tracked_view import tracked
from tests.faults.disk import fill, mount
from tests.recorded import Recorded
from tests.trackers import stores
from tests.trackers.tiny_sweep import RUNS, STEPS, SWEEP, rows_of, untracked


@pytest.fixture
def disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk_of_tensorboard(disk, storage, tmp_path, seen):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    resources = Resources(trackers=(f"tensorboard:{disk}",))
    fill(disk / "full")
    shown, said = Recorded(), []
    with tracked(shown, "tracked", SWEEP.evaluations, resources, storage, said.append) as view:
        run_in_process(make_plan(SWEEP), storage, device="cpu", view=view)
    title = f"tensorboard at {disk}"
    assert len(said) == 1
    assert said[0].startswith(f"{title} did not take everything of 3 runs (")
    told = shown.of(TrackerFailed)
    assert len(told) <= 1
    assert "No space left on device" in (said[0] if not told else told[0].why)
    assert rows_of(storage.uri).equals(rows_of(untracked(tmp_path)))

    (disk / "full").unlink()
    with tracked(shown, "tracked", SWEEP.evaluations, resources, storage, said.append) as view:
        run_in_process(make_plan(SWEEP), storage, device="cpu", view=view)
    assert len(said) == 1
    held = stores.tensorboard(disk)
    assert set(held) == {run.run_id for run in RUNS}
    assert [step for step, _ in held[RUNS[0].run_id].series["loss"]] == list(range(1, STEPS + 1))
    assert {each.images for each in held.values()} == {1}
    seen("the disk of a tracker full", "once, in one sentence", "the same table; the same command sent the rest")
