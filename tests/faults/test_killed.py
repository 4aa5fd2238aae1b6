"""Workers, actors and drivers that are killed or told to end in the middle of a sweep."""

import os
import signal
import subprocess
import sys

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.progress.events import Retried, RunFailed, TrainingDone
from glad_ray.results import read_trainings
from tests.engine import tiny
from tests.faults.processes import TITLES, Killer, until
from tests.faults.tables import EVALUATION_ID, NAMES, SWEEP, assert_nothing_twice, assert_same_table, plan
from tests.recorded import Recorded

THROUGH_REPLICA = 1e-5
# Who is killed: the run, after its first checkpoint or at once, what is told.
VICTIMS = {
    "a distilling process": ("dm", True, "again, with the run's name"),
    "a process that starts to distil": ("dm", False, "again, with the run's name"),
    "an evaluating process": ("random", False, "again, with run and network"),
    "a process that trains experts": ("mtt", False, "again, with the experts' numbers"),
    "a generator's replica": ("dc", True, "nothing: Ray starts it again, its calls are repeated"),
    "the store of experts": ("mtt", True, "nothing: Ray starts it again, its calls are repeated"),
    "the queue of events": ("dm", True, "nothing: Ray starts it again; progress on its way is lost"),
}


@pytest.mark.full
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed(victim, in_process, storage, view, seen):
    name, checkpointed, told = VICTIMS[victim]
    run = tiny.RUNS[name]

    def when():
        return not checkpointed or storage.list(storage.checkpoint_folder(run.run_id))

    # A replica is there for several runs alone.
    names = ("dc", "dm f3") if name == "dc" else (name,)
    with Killer(TITLES[victim], when) as killer:
        run_on_ray(plan(*names), storage, address=None, view=view)
    assert killer.killed is not None
    for each in names:
        assert_same_table(storage, in_process[0], each, THROUGH_REPLICA if name == "dc" else 0.0)
    assert_nothing_twice(view)
    assert not view.of(RunFailed)
    assert bool(view.of(Retried)) == told.startswith("again"), view.of(Retried)
    seen(f"SIGKILL of {victim}", told, "the same table")


@pytest.mark.parametrize(
    ("number", "engine"),
    [
        (signal.SIGTERM, "--in-process"),
        pytest.param(signal.SIGINT, "--in-process", marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, None, marks=pytest.mark.full),
        pytest.param(signal.SIGINT, None, marks=pytest.mark.full),
        pytest.param(signal.SIGKILL, None, marks=pytest.mark.full),
    ],
)
def test_driver_told_to_end(number, engine, in_process, storage, seen, tmp_path):
    """The whole group is signalled, as by Ctrl-C in a terminal."""
    words = [sys.executable, "-m", "glad_ray", "sweep", SWEEP, "--storage", storage.uri, *filter(None, [engine])]
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as stdout, err.open("w") as stderr:
        driver = subprocess.Popen(words, env=environment, stdout=stdout, stderr=stderr, start_new_session=True)
    folder = storage.checkpoint_folder(tiny.RUNS["dm"].run_id)
    until(lambda: storage.list(folder) or driver.poll() is not None)
    assert driver.poll() is None, err.read_text()
    os.killpg(driver.pid, number)
    code = driver.wait(timeout=60)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number, err.read_text()
        sentence = "glad-ray: Interrupted: what is finished is kept; the same command goes on from there.\n"
        assert err.read_text().lstrip() == sentence
    assert "Traceback" not in out.read_text()
    made = trainings(storage)
    view = Recorded()
    run_in_process(plan(*NAMES), storage, device="cpu", view=view)
    assert_nothing_twice(view)
    assert made <= trainings(storage)
    assert {event.training for event in view.of(TrainingDone)} == trainings(storage) - made
    assert_same_table(storage, in_process[0], "random")
    assert_same_table(storage, in_process[0], "dm")
    told = "nothing" if number == signal.SIGKILL else f"one sentence; exit code {128 + number}"
    where = "the driver, in process" if engine else "the driver, on Ray"
    seen(f"{number.name} of {where}", told, "goes on from the last checkpoint; the same table")


def trainings(storage):
    """The recorded trainings; their times tell that these are they, and not others like them."""
    return {
        training
        for name in NAMES
        for network in tiny.EVALUATION.networks
        for training in read_trainings(storage, tiny.RUNS[name].run_id, EVALUATION_ID, network.key)
    }
