"""Storages of the version before shares of machines were records and one scheduler did everything are gone on with.

`record.py` made them with that version. `before/sweep`: its dm runs are finished, failed, and evaluated in part; dc and
mtt had checkpoints; of the experts of herding, one was trained. `before/search`: three trials had ended, and the fourth
had one of two trainings at its first rung.
"""

from collections import Counter
from pathlib import Path

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.search.run_search import plan_winner, run_search
from glad_ray.plan import as_stored, read_plan
from glad_ray.progress.events import ExpertEpoch, LookTaken, PointReached, RunProgressed, TrialSeen, TrialsFound
from glad_ray.progress.search_status import read_search_status
from glad_ray.report import write_search_report
from glad_ray.results import read_results, read_trials
from glad_ray.spec import Resources, Share
from glad_ray.storage import Storage
from tests.recorded import Recorded
from tests.storage.record import SEARCH, sweep
from tests.storage.recording import Recording, SweepSuite, assert_rows

RECORDING = Recording(
    folder=Path(__file__).parent / "before",
    states={
        "finished": "finished",
        "evaluated in part": "interrupted",
        "dc": "interrupted",
        "mtt": "interrupted",
        "failing": "failed",
        "waiting": "waiting for experts",
        "planned": "planned",
    },
    first_steps={"dc": 5, "mtt": 3, "failing": 1},
    trainings={"evaluated in part": 3, "dc": 4, "mtt": 4, "waiting": 4, "planned": 4},
    experts=(("waiting", 1),),
    failing=("failing",),
)
TRIALS = RECORDING.expected["trials"]
RUNG, LAST_RUNG, FULL = 2, 1, 4
"""trainings"""


class TestSweep(SweepSuite):
    """The suite of every recorded sweep."""


def test_resources_are_those_that_were_meant(left):
    share = Share(cpus=1, memory_gib=0.25)
    meant = Resources(trial=share, by_name={"mtt": Share(memory_gib=0.5), "convnet": Share(cpus=1)})
    resources = read_plan(left).sweep.resources
    for unit, name in (("trial", "mtt"), ("trial", "dm"), ("expert", "convnet"), ("evaluation", "convnet")):
        assert resources.share_of(unit, name) == meant.share_of(unit, name)
    assert resources.share_of("trial", "mtt") == share.replace(memory_gib=0.5)
    assert sweep() == RECORDING.sweep, "as a file has them, and as they were written"
    assert b"generator_replicas" in left.read_bytes(Storage.PLAN)


@pytest.fixture
def left_search(tmp_path):
    return RECORDING.storage("search", tmp_path)


def search(storage):
    """The same search, once more; returns what it found and what was seen."""
    view = Recorded()
    return run_search(SEARCH, storage, where=None, alone=False, address=None, device="cpu", view=view), view


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    storage = RECORDING.storage("search", tmp_path_factory.mktemp("searched"))
    return storage, *search(storage)


def told(trials):
    """What is known of trials, but for what they took."""
    return [trial.model_dump(mode="json", include=set(TRIALS[0])) for trial in trials]


def nearly(trial):
    """The same to rounding."""
    numbers = {name: value for name, value in trial["parameters"].items() if isinstance(value, float)}
    return trial | {
        "parameters": trial["parameters"] | {name: pytest.approx(value) for name, value in numbers.items()},
        "rung_accuracies": pytest.approx(trial["rung_accuracies"], abs=0.01),
        "values": pytest.approx(trial["values"], abs=0.01),
        "full": {network: pytest.approx(each, abs=0.01) for network, each in trial["full"].items()},
    }


def test_the_status_and_report_of_a_search_know_how_it_was_left(left_search):
    status = read_search_status(left_search)
    assert status.counts == {"running": 1, "stopped": 2, "complete": 1}
    assert status.search.resources == RECORDING.sweep.resources
    *ended, running = TRIALS[:4]
    not_yet = {"full": {}, "control": False}
    assert told(status.trials) == [
        *(each | not_yet for each in ended),
        running | not_yet | {"state": "running", "rung_accuracies": [], "values": []},
    ]
    write_search_report(left_search)
    page = left_search.read_bytes(Storage.REPORT_SEARCH).decode()
    assert "4 trials of 6 begun: 1 complete, 2 stopped early, 0 failed, 1 under way." in page
    assert "Trial 0 leads so far: 27.0 %" in page


def test_a_search_goes_on_where_it_was(searched):
    storage, _, view = searched
    (found,) = view.of(TrialsFound)
    assert (found.ended, found.running) == (3, 1)
    assert view.of(ExpertEpoch) == []
    trial_of = {each.run.run_id: each.number for each in read_trials(storage)}
    first_steps = {}
    for event in view.of(RunProgressed):
        first_steps.setdefault(trial_of[event.run.run_id], event.progress.step)
    # A control is distilled to its end.
    assert first_steps == {1: 3, 3: 3, 4: 1, 5: 1}
    seen = [event.trial for event in view.of(TrialSeen)]
    assert seen == [3, 3, 4, 5, 0, 3, 1]
    trainings = Counter(trial_of[event.run.run_id] for event in view.of(LookTaken))
    assert trainings == {0: FULL, 1: FULL, 3: RUNG - 1 + LAST_RUNG + FULL, 4: RUNG, 5: RUNG}


def test_a_search_comes_to_the_same_winner(searched):
    storage, found, _ = searched
    assert told(read_trials(storage)) == [nearly(trial) for trial in TRIALS]
    winner = max(TRIALS, key=lambda trial: sum(map(sum, trial["full"].values())))
    assert found.winner.number == winner["number"]


def test_its_winner_comes_to_the_same_rows(searched):
    storage, found, _ = searched
    plan = as_stored(plan_winner(SEARCH, found.winner.run), storage)
    run_in_process(plan, storage, device="cpu", view=Recorded())
    expected = RECORDING.expected["rows of the winner"]
    assert_rows(read_results(storage).select(expected[0].keys()), expected)


def test_a_search_that_has_ended_is_a_no_op(searched):
    storage, found, _ = searched
    kept = {path: storage.read_bytes(path) for path in storage.tree("runs")}
    again, view = search(storage)
    assert again.winner == found.winner
    assert {type(event) for event in view.events} - {PointReached} == {TrialsFound, TrialSeen}
    assert {event.outcome for event in view.of(TrialSeen)} == {"in full"}
    assert {path: storage.read_bytes(path) for path in storage.tree("runs")} == kept
