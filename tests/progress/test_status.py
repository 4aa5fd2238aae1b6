"""The status of a sweep: the same from any terminal, while it runs, after it, and after its driver was killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from glad_ray.cli import main
from glad_ray.engine.in_process import run_in_process
from glad_ray.errors import UserError
from glad_ray.plan import write_plan
from glad_ray.progress.driver import Driver, driving
from glad_ray.progress.events import RunProgressed
from glad_ray.progress.replica_stats import write_replicas
from glad_ray.progress.status import StatusReader, read_status
from glad_ray.progress.status_tables import status_fields, status_parts
from glad_ray.results import Entry, clear_failure
from glad_ray.storage import Storage
from tests.documents import read_document
from tests.engine import tiny
from tests.progress.happened import WHICH, replica
from tests.recorded import Recorded

NAMES = ("dm", "mtt", "random", "failing")
PLAN = tiny.plan(*NAMES, evaluations=(tiny.EVALUATION,))
RUN_ID = {name: tiny.RUNS[name].run_id for name in NAMES}


def state_of(status, name):
    (one,) = (each for each in status.runs if each.run.run_id == RUN_ID[name])
    return one


def printed(status):
    console = Console(width=200)
    with console.capture() as capture:
        for part in status_parts(status):
            console.print(part)
    return capture.get()


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A sweep in this process, and its status at every event, of steps some."""
    storage, seen = Storage.open(tmp_path_factory.mktemp("status")), []
    write_plan(PLAN, storage)
    reader = StatusReader(storage)

    def look(event):
        if not isinstance(event, RunProgressed) or event.progress.step % 5 < 2:
            seen.append((event, status := read_status(storage)))
            again = reader.read(status.driver)
            # What it kept of runs that had ended is what a first reading finds.
            assert (again.runs, again.counts) == (status.runs, status.counts)
            assert again.sweep_progress.trainings_done == status.sweep_progress.trainings_done
            assert again.sweep_progress.work_seconds_left == pytest.approx(status.sweep_progress.work_seconds_left)

    with driving(storage):
        run_in_process(PLAN, storage, device="cpu", view=Recorded(look))
    seen.append((None, read_status(storage)))
    return seen


def test_states_as_they_follow_one_another(seen):
    def states(name):
        return list(dict.fromkeys(state_of(status, name).state for _, status in seen))

    assert states("dm") == ["planned", "distilling", "evaluating", "finished"]
    assert states("mtt") == ["waiting for experts", "planned", "distilling", "evaluating", "finished"]
    assert states("random")[-2:] == ["evaluating", "finished"]
    assert states("failing") == ["planned", "distilling", "failed"]


def test_a_distillation_is_as_far_as_its_last_checkpoint(seen):
    """`checkpoint_every` is 2."""
    for event, status in seen:
        now = state_of(status, "dm")
        if now.state == "distilling" and now.run == getattr(event, "run", None):
            assert now.progress.step == min(event.progress.step // 2 * 2, 38)
            assert now.words(8) == f"step {now.progress.step}/40"
            assert (status.at - now.last.at).total_seconds() < 60
            assert now.last.host == os.uname().nodename


def test_trainings_are_counted_one_by_one(seen):
    assert {len(state_of(status, "dm").trainings) for _, status in seen} == set(range(9))


def test_when_all_is_done(seen):
    status = seen[-1][1]
    assert status.counts == {"failed": 1, "finished": 3}
    assert status.driver is None
    assert status.seconds_left is None
    text = printed(status)
    assert "3/4 runs  2/2 experts  20/28 evaluation trainings  1 failed" in text
    assert "2 of 2 experts trained" in text
    assert re.search(r"failed\W+\(distill after step \d+\): the ", text)
    assert "No driver is running." in text


def test_an_estimate_while_it_runs(seen):
    (status,) = [status for event, status in seen if getattr(getattr(event, "progress", None), "step", None) == 20]
    assert status.seconds_left > 0
    assert "Driven by process" in printed(status)


def test_the_document(seen):
    document = json.loads(json.dumps(status_fields(seen[-1][1])))
    assert document["counts"] == {"failed": 1, "finished": 3}
    assert document["trainings"] == {"done": 20, "wanted": 28}
    assert document["experts"][0]["trained"] == document["experts"][0]["wanted"] == 2
    by_id = {each["run_id"]: each for each in document["runs"]}
    assert by_id[RUN_ID["dm"]]["state"] == "finished"
    assert by_id[RUN_ID["dm"]]["trainings"] == {"done": 8, "wanted": 8}
    assert by_id[RUN_ID["failing"]]["failure"]["stage"] == "distill"
    page = (Path(__file__).parents[2] / "docs/status.md").read_text()
    for fields in (document, document["runs"][0], document["experts"][0], document["trainings"]):
        assert all(f"`{name}`" in page for name in fields)


def test_replicas_of_a_living_driver_are_told(tmp_path):
    storage = Storage.open(tmp_path)
    write_plan(PLAN, storage)
    write_replicas(storage, [replica()])
    earlier = time.time() - 60
    os.utime(storage.local_path(Storage.REPLICAS), (earlier, earlier))
    with driving(storage):
        assert read_status(storage).replicas == (), "another driver's are none of this one's"
        write_replicas(storage, [now := replica(waiting=3)])
        status = read_status(storage)
        assert status.replicas == (now,)
        assert f"{WHICH}: 12.0 requests/s in batches of 1.8, 3 waiting, 3.1 GiB, 0:00:00 ago" in printed(status)
        (its,) = json.loads(json.dumps(status_fields(status)))["replicas"]
        assert its["at"] == now.at.isoformat().replace("+00:00", "Z")
        page = (Path(__file__).parents[2] / "docs/status.md").read_text()
        assert all(f"`{name}`" in page for name in its)
        storage.write_bytes(Storage.REPLICAS, b"[{")
        assert read_status(storage).replicas == ()
        write_replicas(storage, [now])
    assert read_status(storage).replicas == ()


SWEEP = """
from glad_ray import DM, Evaluation, Network, Run, Sweep

def sweep():
    base = Run(algorithm=DM(iterations=100000, real_batch_size=4), resolution=32, backbone=Network(width=4), held_out=4,
               checkpoint_every=1)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[base, base.replace(seed=1)])
"""


@pytest.fixture
def begun(tmp_path):
    """A storage in which a run has begun under a driver of another machine, whose clock is off by some seconds."""
    storage = Storage.open(tmp_path)
    write_plan(PLAN, storage)

    def begin(clock_of_driver=0.0, clock_of_worker=0.0, ago=0.0):
        date = datetime.now(UTC) + timedelta(seconds=clock_of_driver)
        claim = Driver(host="elsewhere", machine="elsewhere", since=date, renewed=date)
        storage.write_bytes(Storage.DRIVER, claim.model_dump_json().encode())
        at = datetime.now(UTC) + timedelta(seconds=clock_of_worker)
        entry = Entry(at=at, host="worker").model_dump_json().encode()
        storage.write_bytes(path := storage.entry_path(RUN_ID["dm"], "started"), entry)
        written = time.time() - ago
        os.utime(storage.local_path(path), (written, written))
        return storage

    return begin


@pytest.mark.parametrize(("driver", "worker"), [(0, -3600), (0, 3600), (9, -9), (-50, 0)])
def test_a_run_is_distilling_whatever_the_clocks_of_its_machines_say(begun, driver, worker):
    status = read_status(begun(clock_of_driver=driver, clock_of_worker=worker))
    assert state_of(status, "dm").state == "distilling"


def test_a_run_of_an_earlier_driver_is_interrupted_whatever_clocks_say(begun):
    status = read_status(begun(clock_of_worker=3600, ago=60))
    assert state_of(status, "dm").state == "interrupted"


def test_a_claim_that_lies_ahead_and_is_not_renewed_is_of_nobody(begun, monkeypatch, capsys):
    monkeypatch.setattr("glad_ray.progress.driver.RENEW_SECONDS", 0.1)
    storage = begun(clock_of_driver=4 * 3600, clock_of_worker=7200)
    status = read_status(storage)
    assert not status.driver.alive
    assert state_of(status, "dm").state == "interrupted"
    assert status.seconds_left is None
    text = printed(status)
    assert re.search(r"process \d+ on elsewhere, is gone, last sign (3:59|4:00):\d\d ahead of this clock", text)
    assert re.search(r"(1:59|2:00):\d\d ahead of this clock", text)
    assert not document(storage, capsys)["driver"]["alive"]


def test_from_another_terminal_and_after_the_driver_was_killed(tmp_path, capsys):
    (tmp_path / "small.py").write_text(SWEEP)
    where = tmp_path / "results"
    words = ["sweep", str(tmp_path / "small.py"), "--storage", str(where), "--in-process", "--device", "cpu"]
    driver = subprocess.Popen([sys.executable, "-m", "glad_ray", *words], stdout=subprocess.DEVNULL)
    try:
        until(lambda: list(where.rglob("step-*")))
        first = document(where, capsys)
        assert first["driver"]["process"] == driver.pid
        assert first["driver"]["alive"]
        assert first["counts"] == {"distilling": 1, "planned": 1}
        assert first["runs"][0]["step"] >= 1
        assert main(words) == 2
        assert f"process {driver.pid} on" in capsys.readouterr().err
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    later = document(where, capsys)
    assert not later["driver"]["alive"]
    assert later["counts"] == {"interrupted": 1, "planned": 1}
    assert later["runs"][0]["step"] >= first["runs"][0]["step"]
    assert later["seconds_left"] is None
    assert main(["status", str(where)]) == 0
    assert "is gone, last sign" in capsys.readouterr().out


def document(where, capsys):
    capsys.readouterr()
    assert main(["status", str(where), "--json"]) == 0
    return read_document(capsys.readouterr().out, "status")


def until(there, seconds=60.0):
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_storage_without_a_sweep(storage, capsys):
    with pytest.raises(UserError, match="There is no sweep in"):
        read_status(storage)
    assert main(["status", str(storage)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    storage.write_bytes(Storage.PLAN, b'{"sweep": ')
    assert main(["status", str(storage)]) == 2
    assert "plan.json" in capsys.readouterr().err


def test_what_has_ended_is_read_once_and_again_if_it_changes(seen, tmp_path, monkeypatch):
    shutil.copytree(seen[0][1].storage.uri, tmp_path / "copy")
    storage, then = Storage.open(tmp_path / "copy"), time.time() - 60
    for path in storage.tree(""):
        os.utime(storage.local_path(path), (then, then))
    # Something is newer, or what was written last might be written again at the same time.
    storage.write_bytes("runs/newer", b"")
    reader, read, real = StatusReader(storage), [], Storage.read_bytes
    assert reader.read(None).counts == {"failed": 1, "finished": 3}
    monkeypatch.setattr(Storage, "read_bytes", lambda self, path: read.append(path) or real(self, path))
    assert reader.read(None).counts == {"failed": 1, "finished": 3}
    assert read == []
    clear_failure(storage, RUN_ID["failing"])
    assert reader.read(None).counts == {"interrupted": 1, "finished": 3}
    assert read
    assert all(RUN_ID["failing"] in path for path in read)
    storage.delete(storage.results_path(RUN_ID["dm"], tiny.EVALUATION.content_id))
    assert reader.read(None).counts == {"interrupted": 2, "finished": 2}
    storage.write_bytes(Storage.PLAN, b'{"sweep": ')
    with pytest.raises(UserError, match=r"plan\.json"):
        reader.read(None)


def test_damaged_entries_are_passed_over(seen, tmp_path):
    shutil.copytree(seen[0][1].storage.uri, tmp_path / "copy")
    storage = Storage.open(tmp_path / "copy")
    for name in NAMES:
        for path in storage.list(storage.ledger_folder(RUN_ID[name])):
            storage.write_bytes(path, b'{"at": "2026')
    assert read_status(storage).counts == {"failed": 1, "finished": 3}
    clear_failure(storage, RUN_ID["failing"])
    storage.delete(storage.results_path(RUN_ID["dm"], tiny.EVALUATION.content_id))
    assert read_status(storage).counts == {"interrupted": 1, "planned": 1, "finished": 2}


def test_neither_torch_nor_ray_is_loaded(tmp_path):
    code = (
        "import sys, time; before = time.process_time(); from glad_ray.cli import main; "
        f"code = main(['status', {str(tmp_path)!r}]); "
        "print(code, 'torch' in sys.modules, 'ray' in sys.modules, time.process_time() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[:3] == ["2", "False", "False"]
    assert float(said[3]) < 1.5
