"""Distillations as trials of Ray Tune: what Tune is told of them, and what is seen of them from outside."""

import math
import threading

import pytest
from ray.tune.execution.class_cache import _ActorClassCache

from glad_ray.engine.on_ray import executor
from glad_ray.engine.on_ray.executor import Turn
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.engine.on_ray.tune_trials import DistillationTrial
from glad_ray.progress.events import RunDistilled
from glad_ray.spec import DM
from tests.engine import tiny
from tests.faults.processes import workers


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


def test_a_trial_that_could_not_be_set_up_has_a_name():
    """Ray asks for it, and would tell what that raises in the place of what went wrong."""
    trial = object.__new__(DistillationTrial)
    assert repr(trial) == "DistillationTrial"
    trial.cleanup()


@pytest.mark.ray
@pytest.mark.full
def test_one_process_distils_one_run_after_another(ray_session, storage, view, monkeypatch):
    """As long as no evaluation has a turn in between, which on a slow machine one may have: its share is a trial's."""
    for name in ("_TASKS_WAIT_SECONDS", "_FIRST_TASKS_WAIT_SECONDS"):
        monkeypatch.setattr(executor, name, math.inf)
    seen, ended = set(), threading.Event()

    def look():
        while not ended.wait(0.05):
            seen.update(pid for pid, title in workers() if title.startswith("ray::DistillationTrial"))

    looking = threading.Thread(target=look)
    looking.start()
    runs = tuple(tiny.BASE.replace(seed=seed, algorithm=DM(iterations=4, real_batch_size=8)) for seed in range(6))
    sweep = tiny.Sweep(name="one", runs=runs, evaluations=(tiny.EVALUATION,), resources={"max_trials": 1})
    run_on_ray(tiny.make_plan(sweep), storage, address=None, view=view)
    ended.set()
    looking.join()
    assert len(view.of(RunDistilled)) == 6
    assert len(seen) == 1


def test_who_waits_has_a_turn_after_a_while_and_not_for_ever(clock):
    turn = Turn(60)
    assert not turn.now(True)
    clock[0] += 61
    assert not turn.now(False)
    assert turn.now(True)
    clock[0] += 10
    assert turn.now(True)
    assert not turn.now(False), "all have begun"
    clock[0] += 59
    assert not turn.now(True)
    clock[0] += 2
    assert turn.now(True)
    clock[0] += 61
    assert not turn.now(True), "they do not begin in spite of it"


def test_the_first_turn_may_come_sooner(clock):
    turn = Turn(60, first_seconds=20)
    clock[0] += 19
    assert not turn.now(True)
    clock[0] += 2
    assert turn.now(True)
    assert not turn.now(False)
    clock[0] += 59
    assert not turn.now(True)
    clock[0] += 2
    assert turn.now(True)
