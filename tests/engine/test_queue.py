"""The order in which runs are given to Ray Tune."""

from types import SimpleNamespace

import pytest
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.search import Searcher

from glad_ray.engine.shares import Shares
from glad_ray.engine.trials import TRIALS_AHEAD, Leg, TrialQueue
from glad_ray.progress.faults import LOST, RETRIES, Fault
from glad_ray.spec import Resources
from tests.engine import tiny

RUNS = [tiny.BASE.replace(seed=seed) for seed in range(6)]
IDS = [run.run_id for run in RUNS]


class Listener:
    ending, steps = False, 0

    def __init__(self, slots=10, startable=lambda run: True, runs=RUNS):
        self.polled, self._slots, self.startable = 0, slots, startable
        self.runs = list(runs)

    def next(self):
        for run in self.runs:
            if self.startable(run):
                self.runs.remove(run)
                return Leg(run)
        return None

    @property
    def exhausted(self):
        return not self.runs

    def slots(self):
        return self._slots

    def furthest(self, leg):
        return self.steps

    def poll(self):
        self.polled += 1


def queue(listener, at_most=None, started=None):
    """`started` gets what distillations are started with: the run's id, GPUs, tries before."""
    started = [] if started is None else started

    def start(leg, share, tries):
        started.append((leg.name, share.gpus, tries))
        return started[-1]

    return TrialQueue(at_most, Shares(Resources(trial_gpus=0.25)), listener, start)


def given(queue, count=99):
    """The run ids that it gives until it gives none."""
    found = []
    while len(found) < count and isinstance(suggestion := queue.suggest(f"trial {len(found)}"), dict):
        found.append(suggestion["name"])
    return found


def test_runs_are_given_in_their_order():
    assert given(queue(Listener())) == IDS


@pytest.mark.parametrize(
    ("slots", "at_most", "expected"), [(2, None, 2 + TRIALS_AHEAD), (2, 3, 3), (1, 1, 1), (9, 2, 2)]
)
def test_no_more_than_there_is_room_for(slots, at_most, expected):
    made = queue(Listener(slots), at_most)
    assert given(made) == IDS[:expected]
    made.on_trial_complete("trial 0", error=True)
    assert made.suggest("next")["name"] == IDS[expected]
    assert made.suggest("another") is None


def test_who_waits_for_its_experts_lets_others_pass():
    ready = set(IDS[3:])
    made = queue(Listener(startable=lambda run: run.run_id in ready))
    assert given(made) == IDS[3:]
    for number in range(3):
        made.on_trial_complete(f"trial {number}")
    assert made.suggest("x") is None, "not the end: some wait"
    ready.add(IDS[1])
    assert made.suggest("x")["name"] == IDS[1]


def test_legs_of_one_run_are_told_apart():
    made = queue(Listener())
    made.trial_config(Leg(RUNS[0], 2))
    made.trial_config(Leg(RUNS[0], 6))
    made.told(Leg(RUNS[0], 2))
    assert made.ended(Leg(RUNS[0], 2)) == 1
    assert list(made.legs) == [f"{IDS[0]}-6"]


def test_it_ends_when_the_last_trial_has():
    made = queue(Listener(runs=RUNS[:1]))
    assert given(made) == IDS[:1]
    assert made.suggest("x") is None
    made.on_trial_complete("trial 0")
    assert made.suggest("x") == Searcher.FINISHED


@pytest.fixture
def clock(monkeypatch):
    """The time that the queue sees; it stands still."""
    now = [0.0]
    monkeypatch.setattr("glad_ray.engine.trials.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_trial_that_was_lost_is_given_again_so_often_after_longer_and_longer(clock):
    started, lost = [], Fault(LOST, "", "infrastructure")
    made = queue(Listener(runs=RUNS[:1]), started=started)
    for tries, pause in enumerate([1, 3, 9, 27, 81], 1):
        assert made.suggest("trial 0")["distillation"] == [(IDS[0], 0.25, tries - 1)]
        made.told(Leg(RUNS[0]))
        assert made.again(Leg(RUNS[0]), lost)
        made.on_trial_complete("trial 0", error=True)
        clock[0] += pause - 0.1
        assert made.suggest("trial 0") is None
        clock[0] += 0.1
    assert tries == RETRIES
    assert given(made) == IDS[:1]
    assert not made.again(Leg(RUNS[0]), lost)
    assert len(started) == RETRIES + 1


def test_a_run_that_makes_steps_between_faults_is_never_given_up(clock):
    lost, listener = Fault(LOST, "", "infrastructure"), Listener(runs=RUNS[:1])
    made = queue(listener)

    def tried():
        assert len(given(made)) == 1
        made.told(Leg(RUNS[0]))
        again = made.again(Leg(RUNS[0]), lost)
        made.on_trial_complete("trial 0", error=True)
        clock[0] += 81
        return again

    for steps in range(1, 2 * RETRIES):
        listener.steps = steps
        assert tried()
    assert [tried() for _ in range(RETRIES)] == [True] * (RETRIES - 1) + [False]
    assert made.ended(Leg(RUNS[0])) == RETRIES + 1


def test_a_distillation_survives_its_trial_and_the_next_one_waits_for_it(clock):
    started = []
    made = queue(Listener(runs=RUNS[:1]), started=started)
    first = made.suggest("trial 0")
    assert made.again(Leg(RUNS[0]), Fault(LOST, "", "infrastructure"))
    made.on_trial_complete("trial 0", error=True)
    clock[0] += 1
    assert made.suggest("trial 1") == first
    assert len(started) == 1


def test_a_run_whose_fault_it_was_is_not_given_again():
    made = queue(Listener(runs=RUNS[:1]))
    assert given(made) == IDS[:1]
    assert not made.again(Leg(RUNS[0]), Fault("the loss is not finite", ""))


def test_more_of_a_gpu_after_its_memory_was_short_for_this_run_and_later_ones(clock):
    started, short = [], Fault("CUDA out of memory", "", "GPU memory")
    made = queue(Listener(), started=started)
    for number in range(2):
        made.suggest(str(number))
    for run in RUNS[:2]:
        made.told(Leg(run))
        assert made.again(Leg(run), short)
    clock[0] += 1
    for number in range(6):
        made.suggest(str(number))
    assert [gpus for _, gpus, _ in started[:2]] == [0.25] * 2
    assert {run_id: gpus for run_id, gpus, _ in started[2:]} == dict.fromkeys(IDS, 0.5)
    made.told(Leg(RUNS[0]))
    assert made.again(Leg(RUNS[0]), short)
    clock[0] += 3
    made.suggest("x")
    assert started[-1] == (IDS[0], 1.0, 2)
    assert not made.again(Leg(RUNS[0]), short)


def test_what_tasks_tell_is_taken_even_while_tune_waits_for_a_trial():
    listener = Listener(startable=lambda run: False)
    made = queue(listener)
    for _ in range(3):
        assert made.suggest("x") is None
    assert listener.polled == 3


def test_at_the_end_of_a_budget_nothing_more_is_given():
    listener = Listener()
    made = queue(listener)
    assert given(made, 2) == IDS[:2]
    listener.ending = True
    assert made.suggest("x") is None, "two are under way"
    assert not made.again(Leg(RUNS[0]), Fault(LOST, "", "infrastructure"))
    for number in range(2):
        made.on_trial_complete(f"trial {number}")
    assert made.suggest("x") == Searcher.FINISHED


def test_trials_are_given_no_credentials(monkeypatch):
    """What Tune gives them is in the logs of Ray's agents."""

    class Trial:
        pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    given = _ActorClassCache().get(Trial)._default_options["runtime_env"]["env_vars"]
    assert "secret" not in given.values()
    assert given["RAY_CHDIR_TO_TRIAL_DIR"] == "0", "what Tune gives is looked at"
