"""Searches whose processes are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glad_ray.engine.search.run_search import run_search
from glad_ray.progress.events import Retried, TrialFailed
from glad_ray.results import read_look, read_trials
from tests.engine import tiny
from tests.faults.processes import Killer, until
from tests.recorded import Recorded

ROOT = Path(__file__).parents[2]
KILLS = 3


def ended(storage):
    """Trials that have ended, without what they took."""
    rows = {row.number: row for row in read_trials(storage) if row.state != "running"}
    return {number: (row.state, row.run, row.parameters, row.rung_accuracies) for number, row in rows.items()}


def lookss(storage):
    """Every rung evaluation that was kept, as far as it was made."""
    paths = [path for path in storage.tree("runs") if "/looks/" in path and not path.endswith(".partial")]
    return {path: read_look(storage, path) for path in paths}


def goes_on(before, after):
    """Whether a rung evaluation is what it was, or has further trainings."""
    made = len(before.accuracies)
    return after == before or (len(after.accuracies) > made and after.accuracies[:made] == before.accuracies)


def kill(driver, storage, enough):
    """With all that it started, as soon as there are so many rung evaluations."""
    until(lambda: len(lookss(storage)) >= enough or driver.poll() is not None)
    assert driver.poll() is None
    os.killpg(driver.pid, signal.SIGKILL)


@pytest.mark.full
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("title", ["ray::DistillationTrial", "ray::rung evaluation of"])
def test_a_process_of_a_search_is_killed(title, storage, seen):
    with Killer(title) as killer:
        view = Recorded()
        found = run_search(tiny.SEARCH, storage, where=None, alone=False, address=None, device=None, view=view)
    assert killer.killed is not None
    assert found.winner is not None
    assert len(ended(storage)) == tiny.SEARCH.trials
    assert view.of(Retried)
    assert not view.of(TrialFailed)
    what = "a distilling" if "distil" in title else "an evaluating"
    seen(f"SIGKILL of {what} process of a search", "again, with the run's name", "every trial, once")


@pytest.mark.full
def test_a_search_is_killed_with_all_its_processes(storage, seen, tmp_path):
    file = tmp_path / "few.py"
    file.write_text("from tests.engine import tiny\n\n\ndef search():\n    return tiny.SEARCH\n")
    words = [sys.executable, "-m", "glad_ray", "search", str(file), "--storage", storage.uri]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "CI": "1"}
    before, kept = {}, {}
    for number in range(KILLS + 1):
        with (tmp_path / "out").open("w") as output:
            driver = subprocess.Popen(words, env=environment, stdout=output, stderr=output, start_new_session=True)
        if number < KILLS:
            kill(driver, storage, len(kept) + 3)
        code = driver.wait()
        now, have = ended(storage), lookss(storage)
        assert before.items() <= now.items(), "no trial that had ended is lost, or another"
        assert all(goes_on(each, have[path]) for path, each in kept.items()), "no training is made again"
        before, kept = now, have
    assert code == 0, (tmp_path / "out").read_text()
    assert len(before) == tiny.SEARCH.trials
    assert storage.exists(storage.REPORT_SEARCH)
    seen(
        f"SIGKILL of a search on Ray, all processes, {KILLS} times",
        "nothing",
        "every trial, once; every rung evaluation, once",
    )
