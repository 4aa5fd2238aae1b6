"""Signals: kept back while a step computes, told once as exceptions, and found again as they were."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from glad_ray.checkpoints import DistillationState
from glad_ray.engine.in_process import distill_in_process
from glad_ray.errors import RunError
from glad_ray.interrupts import Terminated, first_of_all, found_again, kept_back, raised, within
from tests.engine import tiny
from tests.recorded import Recorded


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_first_signal_waits_for_the_end():
    done = []

    def work():
        with kept_back() as waiting:
            assert not waiting()
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(waiting())

    with raised(), pytest.raises(Terminated):
        work()
    assert done == [True]


def test_the_second_does_not():
    done = []

    def work():
        with kept_back():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not done


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with kept_back() as waiting:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not waiting()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_driver_is_told_by_an_exception_and_a_code(number, code):
    with raised() as interrupted:
        assert interrupted() is None
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert interrupted() == code


def cleanup_fails(wrapped):
    try:
        try:
            raise Terminated
        finally:
            raise ConnectionError("the cluster got the signal too")
    except ConnectionError as error:
        if not wrapped:
            raise
        raise RunError("the cluster is gone") from error


def something_is_told_in_its_place():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise RunError("another driver has taken the place") from None


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_an_end_raises_does_not_hide_what_ended_it(wrapped):
    with pytest.raises(Terminated), first_of_all():
        cleanup_fails(wrapped)


def test_what_is_told_in_place_of_an_interrupt_stays():
    with pytest.raises(RunError), first_of_all():
        something_is_told_in_its_place()


def test_a_second_signal_ends_the_driver_at_once():
    script = """
import os, signal
from glad_ray.interrupts import raised
with raised():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("never")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "")


def test_what_takes_too_long_is_ended_where_it_stands():
    def work():
        with within(0.1 / 60, "resources.x", or_exit=False):
            time.sleep(60)

    with pytest.raises(TimeoutError, match=r"^no end within 0\.00166667 minutes \(resources\.x\)$"):
        work()
    with within(0.1 / 60, "resources.x", or_exit=True):
        pass
    time.sleep(0.2)


def test_half_an_import_is_not_left_behind(tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.5)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def work():
        with within(0.1 / 60, "x", or_exit=False):
            import slow_module

            assert slow_module.whole
            time.sleep(60)

    with pytest.raises(TimeoutError):
        work()
    assert sys.modules["slow_module"].whole


def test_a_process_that_was_cut_off_ends():
    script = """
import time
from glad_ray import interrupts
interrupts.EXIT_SECONDS = 0.5
try:
    with interrupts.within(0.1 / 60, "x", or_exit=True):
        time.sleep(60)
except TimeoutError as error:
    print("told", flush=True)
time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "told\n")


def test_what_hangs_outside_python_ends_with_its_process():
    script = """
import signal, time
from glad_ray import interrupts
interrupts.GRACE_SECONDS = 0.5
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
with interrupts.within(0.1 / 60, "x", or_exit=True):
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'File "<string>", line 7' in ended.stderr


def test_what_a_library_does_to_handlers_is_undone():
    with raised(), found_again():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dm", signal.SIGINT),
        ("mtt", signal.SIGTERM),
        pytest.param("dm", signal.SIGTERM, marks=pytest.mark.full),
        pytest.param("mtt", signal.SIGINT, marks=pytest.mark.full),
    ],
)
def test_a_distillation_told_to_end_keeps_its_step_and_resumes_bit_for_bit(name, number, in_process, storage):
    expected, _ = in_process
    plan, run = tiny.plan(name), tiny.RUNS[name]
    steps = []

    def told(event):
        # A step that is no multiple of the checkpoints'.
        if (progress := getattr(event, "progress", None)) is not None:
            steps.append(progress.step)
            if len(steps) == 3:
                os.kill(os.getpid(), number)

    with raised(), pytest.raises(KeyboardInterrupt):
        distill_in_process(plan, storage, device="cpu", view=Recorded(told))
    newest = storage.list(storage.checkpoint_folder(run.run_id))[-1]
    assert storage.step_of(newest) == 3
    assert DistillationState.from_bytes(storage.read_bytes(newest), "cpu").step == 3
    distill_in_process(plan, storage, device="cpu", view=Recorded(told))
    assert steps == list(range(1, run.steps + 1)), "no step is made twice"
    tiny.assert_same(storage, expected, name)


OUTLIVES = """
import contextlib, sys, time
from pathlib import Path
from glad_ray.cli.output import Lasting
from glad_ray.interrupts import hangups_ignored

with contextlib.redirect_stdout(Lasting(sys.stdout)), hangups_ignored():
    print("begun", flush=True)
    while not Path(sys.argv[1]).exists():
        print("going on", flush=True)
        time.sleep(0.05)
    print("seen by nobody", flush=True)
    Path(sys.argv[2]).write_text("done")
"""


def test_a_terminal_that_goes_away_ends_nothing(tmp_path):
    gone, done = tmp_path / "gone", tmp_path / "done"
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", OUTLIVES, str(gone), str(done)])
    assert b"begun" in os.read(terminal, 1024)
    os.close(terminal)
    time.sleep(0.2)
    gone.touch()
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert done.read_text() == "done"
