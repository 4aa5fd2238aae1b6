"""Searches from their first trial to their winner, on Ray and in this process, also when they are killed in between."""

import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from glad_ray.engine.search.run_search import plan_winner, run_search
from glad_ray.progress.events import ExpertEpoch, RunProgressed, TrialFailed, TrialSeen, TrialsFound
from glad_ray.progress.search_reporter import SearchReporter
from glad_ray.progress.view import LiveView, PlainView
from glad_ray.results import Progress, read_look, read_results, read_trials
from glad_ray.spec import FloatRange
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

ROOT = Path(__file__).parents[2]
# On Ray a process is started for most of what a trial is given.
SHORT = tiny.SEARCH.replace(trials=4, finalists=1, controls=0)


def run(search, storage, view, *, on_ray=False):
    device = None if on_ray else "cpu"
    return run_search(search, storage, where=None, alone=False, address=None, device=device, view=view)


def lookss(storage):
    """Every rung evaluation that was kept, by its path, without what it took."""
    paths = [path for path in storage.tree("runs") if "/looks/" in path and not path.endswith(".partial")]
    return {path: read_look(storage, path).accuracies for path in paths}


def told(storage):
    """The trials without what they took."""
    return [row.model_copy(update={"seconds": 0, "full_seconds": 0}) for row in read_trials(storage)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A search in this process, to its end."""
    storage, view = Storage.open(tmp_path_factory.mktemp("undisturbed")), Recorded()
    return run(tiny.SEARCH, storage, view), storage, view


def test_a_search_has_a_winner(undisturbed):
    found, storage, view = undisturbed
    rows = read_trials(storage)
    assert found.budget is None
    assert len(rows) == tiny.SEARCH.trials
    assert {row.run.algorithm.name for row in rows} == {"dm", "mtt"}
    assert {row.run.space for row in rows} == {"pixel", "f3"}
    in_full = [row for row in rows if row.full]
    assert sum(row.control for row in in_full) == 1
    assert found.winner.full_accuracy == max(row.full_accuracy for row in in_full)
    assert all(len(each) == tiny.EVALUATION.repeats for row in in_full for each in row.full.values())
    assert all(row.seconds > 0 for row in rows)
    assert [event.outcome for event in view.of(TrialSeen)].count("in full") == len(in_full)


def test_only_what_goes_on_is_distilled_further(undisturbed):
    _, storage, _ = undisturbed
    for row in read_trials(storage):
        whole = storage.exists(storage.distillation_path(row.run.run_id))
        assert whole == (row.state == "complete" or row.control)


def test_what_is_finished_is_not_done_again(undisturbed):
    _, storage, _ = undisturbed
    before = {path: storage.read_bytes(path) for path in storage.tree("runs")}
    again = Recorded()
    assert run(tiny.SEARCH, storage, again).winner is not None
    assert {path: storage.read_bytes(path) for path in storage.tree("runs")} == before
    assert not [event for event in again.of(TrialSeen) if event.outcome != "in full"]


def test_the_winner_is_tested_with_fresh_seeds(undisturbed):
    found, _, _ = undisturbed
    plan = plan_winner(tiny.SEARCH, found.winner.run)
    assert sorted(each.seed for each in plan.runs) == [1, 2]
    assert {each.replace(seed=0) for each in plan.runs} == {found.winner.run}


def test_no_test_image_decides(undisturbed, storage, monkeypatch):
    """Where every test label is wrong, a search finds the same."""
    from glad_ray.data import load

    found, _, _ = undisturbed
    loaded = load.load_dataset

    def wrong(*arguments, **keywords):
        dataset = loaded(*arguments, **keywords)
        return replace(dataset, test_labels=(dataset.test_labels + 1) % 10)

    monkeypatch.setattr("glad_ray.engine.real_images.load_dataset", wrong)
    assert run(tiny.SEARCH, storage, Recorded()).winner.run == found.winner.run
    assert lookss(storage) == lookss(undisturbed[1])


@pytest.mark.full
def test_on_ray(undisturbed, ray_session, storage):
    _, expected, _ = undisturbed
    found = run(SHORT, storage, view := Recorded(), on_ray=True)
    assert found.winner is not None
    rows = read_trials(storage)
    assert len(rows) == SHORT.trials
    assert {row.run.algorithm.name for row in rows} == {"dm", "mtt"}
    assert not view.of(TrialFailed)
    ours, theirs = lookss(storage), lookss(expected)
    both = ours.keys() & theirs.keys()
    assert len(both) >= 4, "trials draw alike until what was seen differs, by the order in which it was"
    assert {path: ours[path] for path in both} == {path: theirs[path] for path in both}


@pytest.fixture(params=[False, pytest.param(True, marks=[pytest.mark.ray, pytest.mark.full])])
def on_ray(request):
    """Whether a search is to run on Ray, which is there then."""
    if request.param:
        request.getfixturevalue("ray_session")
    return request.param


def test_a_run_that_fails_is_no_trial_lost(storage, on_ray):
    vary = {"algorithm.learning_rates.pixels": FloatRange(low=1, high=1e32, log=True)}
    search = tiny.SEARCH.replace(base=tiny.RUNS["failing"], vary=vary, sampler="random", controls=0, seed=0)
    found = run(search, storage, view := Recorded(), on_ray=on_ray)
    rows = read_trials(storage)
    failed = [row for row in rows if row.state == "failed"]
    assert len(rows) == 6
    assert {event.trial for event in view.of(TrialFailed)} == {row.number for row in failed}
    assert failed
    assert all("not finite" in row.error for row in failed)
    assert found.winner is not None


@pytest.mark.full
def test_a_budget_ends_it_and_the_next_call_goes_on(storage, on_ray, spend):
    search = SHORT if on_ray else tiny.SEARCH
    spend()
    assert run(search, storage, Recorded(), on_ray=on_ray).budget == "the hours of this test"
    assert not read_trials(storage)
    spend(False)
    view = Recorded(lambda event: spend() if isinstance(event, TrialSeen) else None)
    assert run(search, storage, view, on_ray=on_ray).budget == "the hours of this test"
    before = told(storage)
    assert len(view.of(TrialSeen)) < 10
    spend(False)
    found = run(search, storage, Recorded(), on_ray=on_ray)
    assert found.winner is not None
    after = {row.number: row for row in told(storage)}
    assert all(after[row.number].rung_accuracies[: len(row.rung_accuracies)] == row.rung_accuracies for row in before)
    assert {row.state for row in after.values()} <= {"complete", "stopped"}


def _started(folder, *words):
    """The command in a process group of its own, which a signal ends whole."""
    file = folder / "search_file.py"
    file.write_text("from tests.engine import tiny\n\n\ndef search():\n    return tiny.SEARCH\n")
    command = [sys.executable, "-m", "glad_ray", "search", str(file), "--storage", str(folder / "storage"), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CI": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def _kept(storage):
    return len(lookss(storage)) if storage.exists("runs") else 0


@pytest.mark.fault
@pytest.mark.full
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(undisturbed, tmp_path):
    _, expected, _ = undisturbed
    storage, kills, seen = Storage.open(tmp_path / "storage"), 0, 0
    while True:
        process = _started(tmp_path, "--in-process")
        while process.poll() is None and _kept(storage) < seen + 5:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        # Wherever it is then: in a step, a training, or writing.
        time.sleep(0.07 * kills)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills, seen = kills + 1, _kept(storage)
    said = process.stdout.read().decode()
    assert process.returncode == 0, said
    assert kills >= 2
    assert told(storage) == told(expected)
    assert lookss(storage) == lookss(expected)
    assert storage.exists(Storage.REPORT_SEARCH)
    winner = max(read_trials(storage), key=lambda row: row.full_accuracy or 0)
    tested = {row["run_id"] for row in read_results(storage).to_pylist()}
    assert tested == {each.run_id for each in tiny.SEARCH.winner_runs(winner.run)}


def test_what_is_said(undisturbed, storage, capsys):
    found, _, recorded = undisturbed
    with PlainView(SearchReporter(tiny.SEARCH, storage)) as view:
        for event in recorded.events:
            view.show(event)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("goes on    trial 0, algorithm dm") and "after 2 of 6 steps" in line for line in lines)
    assert any(line.startswith("in full    trial") for line in lines)
    best = f"best {100 * found.winner.full_accuracy:.1f} %"
    assert lines[-1].startswith("6/6 trials ended  3 in full")
    assert best in lines[-1]


def test_what_is_drawn(storage):
    console = Console(file=io.StringIO(), force_terminal=True, width=160, height=30, color_system=None)
    view = LiveView(SearchReporter(tiny.SEARCH, storage), console)

    def drawn():
        with console.capture() as capture:
            console.print(view.draw())
        return [line.rstrip() for line in capture.get().splitlines()]

    run = tiny.SEARCH.base
    view.show(TrialsFound(2, 1, 6))
    view.show(ExpertEpoch(tiny.RUNS["mtt"].expert_set, 0, 1))
    view.show(RunProgressed(run, Progress(step=3, steps=6, loss=0.5, seconds=1.0)))
    head, experts, distilling = drawn()
    assert head.startswith("2/6 trials ended")
    assert "epoch 1/4" in experts
    assert distilling.startswith(run.label)
    assert "step 3/6" in distilling
    view.show(TrialSeen(3, "space f3", run, 6, 0.25, "complete"))
    head, _ = drawn()
    assert head.startswith("3/6 trials ended  best 25.0 % (dm f3)")
    view.show(TrialSeen(3, "space f3", run, 6, 0.2, "in full"))
    assert "1 in full  best 20.0 %" in drawn()[0]
