"""Distillations as trials of Ray Tune: what Tune is told of them, and what is seen of them from outside."""

import json
import shutil
import threading

import pytest
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.logger import JsonLoggerCallback

from glad_ray.engine.on_ray.executor import Turn
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.progress.events import RunDistilled, RunProgressed
from glad_ray.results import read_losses
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


class KeptLog(JsonLoggerCallback):
    """Tune's JSON logger, whose files outlast Tune's folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_trial_complete(self, iteration, trials, trial, **info):
        super().on_trial_complete(iteration, trials, trial, **info)
        shutil.copytree(trial.local_path, self.folder / str(trial))


@pytest.mark.ray
def test_tunes_own_logger_has_the_steps_and_losses_of_every_run(ray_session, storage, view, tmp_path):
    plan = tiny.plan("dm", "dc", "random", evaluations=(tiny.EVALUATION,))
    run_on_ray(plan, storage, address=None, view=view, callbacks=[KeptLog(tmp_path / "logs")])
    for name in ("dm", "dc"):
        run = tiny.RUNS[name]
        lines = (tmp_path / "logs" / run.run_id / "result.json").read_text().splitlines()
        reported = [json.loads(line) for line in lines]
        losses = read_losses(storage, run.run_id).losses
        assert reported[-1]["step"] == run.steps
        assert reported[-1]["done"]
        for each in reported:
            assert each["loss"] == pytest.approx(losses[each["step"] - 1])
        seconds = [each["seconds"] for each in reported]
        assert seconds == sorted(seconds)
        steps = [event.progress.step for event in view.of(RunProgressed) if event.run == run]
        assert steps == sorted(steps)
        # What is told of a run comes in order.
        (distilled,) = [number for number, event in enumerate(view.events) if event == RunDistilled(run)]
        assert not [event for event in view.events[distilled:] if isinstance(event, RunProgressed) and event.run == run]


@pytest.mark.ray
def test_one_process_distils_one_run_after_another(ray_session, storage, view):
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
