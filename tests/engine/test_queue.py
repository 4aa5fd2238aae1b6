"""The order in which runs are given to Ray Tune."""

import pytest
from ray.tune.search import Searcher

from glad_ray.engine.tasks import RETRIES
from glad_ray.engine.trials import _AHEAD, _Queue
from tests.engine import tiny

RUNS = [tiny.BASE.replace(seed=seed) for seed in range(6)]
IDS = [run.run_id for run in RUNS]


class Listener:
    def __init__(self, slots=10, startable=lambda run: True):
        self.polled, self._slots, self.startable = 0, slots, startable

    def slots(self):
        return self._slots

    def poll(self):
        self.polled += 1


def queue(listener, at_most=None, runs=RUNS):
    return _Queue(runs, at_most, listener)


def given(queue, count=99):
    """The run ids that it gives until it gives none."""
    found = []
    while len(found) < count and isinstance(suggestion := queue.suggest(f"trial {len(found)}"), dict):
        found.append(suggestion["run_id"])
    return found


def test_runs_are_given_in_their_order():
    assert given(queue(Listener())) == IDS


@pytest.mark.parametrize(("slots", "at_most", "expected"), [(2, None, 2 + _AHEAD), (2, 3, 3), (1, 1, 1), (9, 2, 2)])
def test_no_more_than_there_is_room_for(slots, at_most, expected):
    made = queue(Listener(slots), at_most)
    assert given(made) == IDS[:expected]
    made.on_trial_complete("trial 0", error=True)
    assert made.suggest("next") == {"run_id": IDS[expected]}
    assert made.suggest("another") is None


def test_who_waits_for_its_experts_lets_others_pass():
    ready = set(IDS[3:])
    made = queue(Listener(startable=lambda run: True if run.run_id in ready else None))
    assert given(made) == IDS[3:]
    for number in range(3):
        made.on_trial_complete(f"trial {number}")
    assert made.suggest("x") is None, "not the end: some wait"
    ready.add(IDS[1])
    assert made.suggest("x") == {"run_id": IDS[1]}


def test_runs_that_cannot_start_are_passed_over_and_asked_for_once():
    asked = []

    def startable(run):
        asked.append(run.run_id)
        return run.run_id != IDS[0]

    assert given(queue(Listener(startable=startable))) == IDS[1:]
    assert asked == IDS


def test_it_ends_when_the_last_trial_has():
    made = queue(Listener(), runs=RUNS[:1])
    assert given(made) == IDS[:1]
    assert made.suggest("x") is None
    made.on_trial_complete("trial 0")
    assert made.suggest("x") == Searcher.FINISHED


def test_a_trial_lost_before_it_ran_is_given_again_so_often():
    made = queue(Listener(), runs=RUNS[:1])
    for number in range(RETRIES):
        assert given(made) == IDS[:1]
        assert made.again(RUNS[0]), number
        made.on_trial_complete("trial 0", error=True)
    assert given(made) == IDS[:1]
    assert not made.again(RUNS[0])


def test_what_tasks_tell_is_taken_even_while_tune_waits_for_a_trial():
    listener = Listener(startable=lambda run: None)
    made = queue(listener)
    for _ in range(3):
        assert made.suggest("x") is None
    assert listener.polled == 3
