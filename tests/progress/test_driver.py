"""One driver at a time: with real processes, of this machine and of what looks like another."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.progress import driver
from glad_ray.progress.driver import Driver, driving, look_at_driver, read_driver
from glad_ray.storage import Storage
from tests.faults.processes import until
from tests.object_store import object_store

# Waits for a file, so that all begin at once; then holds the storage until its input ends.
HOLD = """
import sys, time
from pathlib import Path
from glad_ray.progress import driver
from glad_ray.errors import UserError
from glad_ray.storage import Storage

driver.RENEW_SECONDS, driver.SILENT_SECONDS = float(sys.argv[4]), float(sys.argv[3])
storage = Storage.open(sys.argv[1])
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    time.sleep(0.005)
try:
    with driver.driving(storage):
        print("drives", flush=True)
        sys.stdin.read()
except UserError as error:
    print(error, flush=True)
"""


@pytest.fixture(params=["folder", "object-store"])
def storage(request, tmp_path):
    where = {"folder": str(tmp_path / "results"), "object-store": f"{object_store()}/results"}
    return Storage.open(where[request.param])


@pytest.fixture
def folder(tmp_path):
    return Storage.open(tmp_path / "results")


@pytest.fixture
def begin(tmp_path):
    """Start processes that drive a storage once `go` is there; they end with the test."""
    started = []

    def start(storage, silent_seconds=60.0, renew_seconds=0.1):
        seconds = map(str, (silent_seconds, renew_seconds))
        words = [sys.executable, "-c", HOLD, str(storage), str(tmp_path / "go"), *seconds]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(driver, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.1)


def claim(storage, **changes):
    fields = json.loads(Driver().model_dump_json()) | {"token": "another"} | changes
    storage.write_bytes(Storage.DRIVER, json.dumps(fields, default=str).encode())


def test_a_claim_names_its_process_and_ends_with_it(storage, quick):
    with driving(storage):
        now = read_driver(storage)
        assert now.process == os.getpid()
        assert look_at_driver(storage).alive
        until(lambda: read_driver(storage).renewed > now.renewed)
        assert read_driver(storage).since == now.since
        assert 0 < read_driver(storage).driven_seconds < 60
    assert not storage.exists(Storage.DRIVER)


def test_a_second_driver_is_refused_in_one_sentence(storage, quick):
    with driving(storage):
        now = read_driver(storage)
        with pytest.raises(UserError) as refused, driving(storage):
            pass
        assert read_driver(storage).token == now.token
    said = str(refused.value)
    assert f"process {os.getpid()} on {now.host} since {now.since:%Y-%m-%d %H:%M:%S} UTC" in said
    assert said.count(". ") == 0


def test_of_several_that_begin_at_once_one_drives(folder, begin, tmp_path):
    processes = [begin(folder) for _ in range(3)]
    (tmp_path / "go").touch()
    said = [process.stdout.readline() for process in processes]
    assert said.count("drives\n") == 1
    assert sum("is driven by process" in line for line in said) == 2


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_driver_holds_nothing(folder, begin, tmp_path, reaped):
    (tmp_path / "go").touch()
    first = begin(folder)
    assert first.stdout.readline() == "drives\n"
    with pytest.raises(UserError, match=f"process {first.pid} "), driving(folder):
        pass
    first.send_signal(signal.SIGKILL)
    if reaped:
        first.wait()
    else:
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    told = []
    with driving(folder, told.append):
        assert read_driver(folder).process == os.getpid()
    assert not told, "it is not watched for a sign of life"


def test_a_driver_that_was_held_up_leaves_it_to_the_next(folder, begin, tmp_path, monkeypatch, quick):
    (tmp_path / "go").touch()
    # It is stopped between two signs of life: one that was being written would be written over the next driver's.
    first = begin(folder, renew_seconds=2.0)
    assert first.stdout.readline() == "drives\n"
    first.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(driver, "SILENT_SECONDS", 0.3)
    time.sleep(0.4)
    with driving(folder):
        first.send_signal(signal.SIGCONT)
        assert "drives" in (said := first.stdout.readline())
        assert f"process {os.getpid()} on" in said
        first.wait()
        assert read_driver(folder).process == os.getpid()


def test_elsewhere_a_silent_driver_is_dead_and_one_that_renews_is_not(storage, quick):
    long_ago = datetime.now(UTC) - timedelta(seconds=70)
    elsewhere = {"host": "elsewhere", "machine": "elsewhere", "process": 1}
    claim(storage, **elsewhere)
    with pytest.raises(UserError, match="on elsewhere"), driving(storage):
        pass
    claim(storage, **elsewhere, renewed=long_ago)
    assert not look_at_driver(storage).alive
    with driving(storage):
        assert read_driver(storage).process == os.getpid()


CLOCKS = {"behind": -300, "minutes ahead": 300, "hours ahead": 4 * 3600, "years behind": -3 * 10**8}


@pytest.mark.parametrize("off", CLOCKS.values(), ids=CLOCKS)
def test_a_driver_whose_clock_is_wrong_lives_while_it_renews_its_claim(folder, monkeypatch, off):
    elsewhere = {"host": "elsewhere", "machine": "elsewhere"}
    date = datetime.now(UTC) + timedelta(seconds=off)
    claim(folder, **elsewhere, renewed=date)
    later = date + timedelta(seconds=10)
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: claim(folder, **elsewhere, renewed=later))
    told = []
    seen = look_at_driver(folder, told.append)
    assert seen.alive
    assert "elsewhere" in told[0]
    assert seen.driver.renewed == later
    claim(folder, **elsewhere, renewed=date)
    with pytest.raises(UserError, match="on elsewhere"), driving(folder):
        pass


@pytest.mark.parametrize("off", CLOCKS.values(), ids=CLOCKS)
def test_a_claim_of_any_date_that_nobody_renews_holds_nothing(storage, quick, off):
    date = datetime.now(UTC) + timedelta(seconds=off)
    claim(storage, host="elsewhere", machine="elsewhere", since=date, renewed=date)
    assert not look_at_driver(storage).alive
    with driving(storage):
        assert read_driver(storage).process == os.getpid()


def test_a_claim_that_is_given_back_meanwhile_holds_nothing(folder, monkeypatch):
    claim(folder, host="elsewhere", machine="elsewhere", renewed=datetime.now(UTC) + timedelta(hours=1))
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: folder.delete(Storage.DRIVER))
    assert look_at_driver(folder) is None


@pytest.mark.parametrize("content", [b"", b'{"token": "half', b"[]"])
def test_a_damaged_claim_is_nobodys(folder, content):
    folder.write_bytes(Storage.DRIVER, content)
    assert read_driver(folder) is None
    with driving(folder):
        assert read_driver(folder).process == os.getpid()


def test_an_interrupt_of_the_user_stays_one(folder):
    with pytest.raises(KeyboardInterrupt), driving(folder):
        raise KeyboardInterrupt
    assert not folder.exists(Storage.DRIVER)


SWEEP = """
from glad_ray import Evaluation, Network, RandomReal, Run, Sweep

def sweep():
    run = Run(algorithm=RandomReal(), resolution=32, backbone=Network(width=4), held_out=4)
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[run])
"""
EXPERTS = ["--experts", "1", "--epochs", "1"]


def test_every_command_that_writes_runs_is_refused_and_those_that_read_are_not(folder, tmp_path, capsys):
    file = tmp_path / "small.py"
    file.write_text(SWEEP)
    where = ["--storage", str(folder)]
    sweep = ["sweep", str(file), *where, "--in-process", "--device", "cpu"]
    assert main(sweep) == 0
    writing = {
        "sweep": sweep,
        "sweep on Ray": ["sweep", str(file), *where],
        "distill": ["distill", *where, "--device", "cpu"],
        "experts": ["experts", "--dataset", "fashion-mnist-sample", *where, *EXPERTS],
        "experts here": ["experts", "--dataset", "fashion-mnist-sample", *where, *EXPERTS, "--in-process"],
    }
    before = sorted(Path(folder.uri).rglob("runs/*"))
    with driving(folder):
        for words in writing.values():
            capsys.readouterr()
            assert main(words) == 2
            captured = capsys.readouterr()
            assert f"is driven by process {os.getpid()} on" in captured.err
            assert captured.err.count("\n") == 1
        assert main(["plan", str(file), *where]) == 0
        assert main(["report", str(folder)]) == 0
    assert sorted(Path(folder.uri).rglob("runs/*")) == before
