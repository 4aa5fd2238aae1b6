"""The engine on Ray: the same rows as in one process, whatever is killed on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ray.tune.logger import JsonLoggerCallback

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.errors import RunError, UserError
from glad_ray.experts import missing_experts
from glad_ray.progress.events import (
    Begun,
    ExpertEpoch,
    Retried,
    RunDistilled,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.results import finished, read_failures, read_losses, read_trainings
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.faults.processes import until, workers, working
from tests.recorded import Recorded

pytestmark = pytest.mark.usefixtures("ray_session")


class KeptLog(JsonLoggerCallback):
    """Tune's JSON logger, whose files outlast Tune's folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_trial_complete(self, iteration, trials, trial, **info):
        super().on_trial_complete(iteration, trials, trial, **info)
        shutil.copytree(trial.local_path, self.folder / str(trial))


@pytest.fixture(scope="module")
def on_ray(ray_session, tmp_path_factory):
    """The sweep of all tiny runs on Ray: its storage, its view, and the files of Tune's own logger."""
    folder = tmp_path_factory.mktemp("on-ray")
    storage, view = Storage.open(folder / "storage"), Recorded()
    run_on_ray(tiny.plan(*tiny.RUNS), storage, address=None, view=view, callbacks=[KeptLog(folder / "logs")])
    return storage, view, folder / "logs"


def test_same_as_in_process(in_process, on_ray):
    expected, in_process_view = in_process
    storage, view, _ = on_ray
    assert tiny.rows(storage, *tiny.SOUND) == tiny.rows(expected, *tiny.SOUND)
    for name in tiny.WITH_SET:
        tiny.assert_same(storage, expected, name)

    ours, theirs = ({failure.run_id: failure for failure in read_failures(each)} for each in (storage, expected))
    assert ours.keys() == theirs.keys()
    for run_id, failure in theirs.items():
        assert (ours[run_id].stage, ours[run_id].step, ours[run_id].error) == (
            failure.stage,
            failure.step,
            failure.error,
        )
        assert "RunError" in ours[run_id].traceback

    for kind in (RunDistilled, RunFailed, RunFinished, TrainingDone, ExpertEpoch):
        assert len(view.of(kind)) == len(in_process_view.of(kind))
    assert not view.of(Retried)


def test_tunes_own_logger_has_the_steps_and_losses_of_every_run(on_ray):
    storage, _, logs = on_ray
    for name in ("dm", "dc", "mtt"):
        run = tiny.RUNS[name]
        reported = [json.loads(line) for line in (logs / run.run_id / "result.json").read_text().splitlines()]
        losses = read_losses(storage, run.run_id).losses
        assert reported[-1]["step"] == run.steps
        assert reported[-1]["done"]
        for each in reported:
            assert each["loss"] == pytest.approx(losses[each["step"] - 1])
        seconds = [each["seconds"] for each in reported]
        assert seconds == sorted(seconds)


def test_what_is_told_of_a_run_comes_in_order(on_ray):
    _, view, _ = on_ray
    for name in tiny.WITH_SET:
        run = tiny.RUNS[name]
        told = [event for event in view.events if isinstance(event, RunProgressed | RunDistilled) and event.run == run]
        steps = [event.progress.step for event in told[:-1]]
        assert isinstance(told[-1], RunDistilled), name
        assert steps == sorted(steps)


def test_finished_is_a_no_op(in_process, view):
    run_on_ray(tiny.plan(*tiny.SOUND), in_process[0], address=None, view=view)
    (begun,) = view.events
    assert isinstance(begun, Begun)
    assert len(begun.finished) == len(tiny.SOUND)


@pytest.mark.fault
def test_killed_trials_and_replica(in_process, storage, view):
    expected, _ = in_process
    names = ("dm", "dc", "dm f3")
    killed = []

    def kill():
        for name in ("dm", "dc"):
            until(lambda name=name: storage.list(storage.checkpoint_folder(tiny.RUNS[name].run_id)))
        for pid, title in workers():
            if title.startswith(("ray::DistillationTrial", "ray::Replica")):
                os.kill(pid, signal.SIGKILL)
                killed.append(title)

    killer = threading.Thread(target=kill)
    killer.start()
    run_on_ray(tiny.plan(*names), storage, address=None, view=view)
    killer.join()

    assert any("Replica" in title for title in killed)
    assert any("DistillationTrial" in title for title in killed)
    assert view.of(Retried)
    assert not view.of(RunFailed)
    assert tiny.rows(storage, *names) == tiny.rows(expected, *names)
    for name in names:
        tiny.assert_same(storage, expected, name)


@pytest.mark.full
@pytest.mark.parametrize("together", [1, 2])
def test_experts_without_a_run(together, storage, view, tmp_path):
    expert_set = tiny.RUNS["mtt"].expert_set
    kept, lost = (storage.expert_path(expert_set.content_id, index) for index in (0, 1))
    plan = tiny.experts(expert_set, experts_together=together)
    run_on_ray(plan, storage, address=None, view=view)
    assert missing_experts(storage, expert_set) == []
    assert {(event.expert, event.epoch) for event in view.of(ExpertEpoch)} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    other = type(storage).open(tmp_path / "in process")
    run_in_process(plan, other, device="cpu", view=Recorded())
    for path in (kept, lost):
        assert storage.read_bytes(path) == other.read_bytes(path)

    before = storage.read_bytes(kept)
    storage.delete(lost)
    view.events.clear()
    run_on_ray(plan, storage, address=None, view=view)
    assert [(event.expert, event.epoch) for event in view.of(ExpertEpoch)] == [(1, 1), (1, 2)]
    assert storage.read_bytes(kept) == before
    assert storage.exists(lost)
    view.events.clear()
    run_on_ray(plan, storage, address=None, view=view)
    assert len(view.events) == 1, "nothing is started where nothing is missing"


def test_experts_that_fail_without_a_run(storage, view):
    failing, sound = tiny.RUNS["failing experts"].expert_set, tiny.RUNS["mtt"].expert_set
    with pytest.raises(
        RunError, match=r"^1 expert x 2 epochs, .*: the loss of expert 0 is nan .* lower the experts' lr$"
    ):
        run_on_ray(tiny.experts(failing, sound), storage, address=None, view=view)
    assert missing_experts(storage, sound) == []
    assert missing_experts(storage, failing) == [0]


@pytest.mark.parametrize("resources", [{"trial": {"gpus": 1}}, {"evaluation": {"cpus": 64}}, {"expert": {"gpus": 0.5}}])
def test_more_than_any_machine_has(resources, storage, view):
    (asked,) = resources
    with pytest.raises(UserError, match=asked):
        run_on_ray(tiny.plan("mtt", **resources), storage, address=None, view=view)
    assert storage.list("") == ()


DRIVER = """
import sys
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded
from tests.faults.processes import until, workers, working

run_on_ray(tiny.plan(*sys.argv[2:]), Storage.open(sys.argv[1]), address="local", view=Recorded())
"""


@pytest.mark.fault
@pytest.mark.full
def test_killed_driver(in_process, storage, view):
    expected, _ = in_process
    names = ("dm", "mtt", "random")
    mark = f"GLAD_RAY_TEST={storage.uri}"
    environment = os.environ | dict([mark.split("=")]) | {"RAY_AUTH_MODE": "disabled"}
    root = Path(__file__).parents[2]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, storage.uri, *names], env=environment, cwd=root)
    evaluation_id = tiny.EVALUATION.content_id
    until(lambda: any(finished(storage, tiny.RUNS[name].run_id, evaluation_id) for name in names))
    assert driver.poll() is None
    driver.kill()
    driver.wait()
    # Whatever works for it ends with it, or two sweeps would write to one storage.
    until(lambda: not working(mark))

    before = {path: storage.read_bytes(path) for path in files(storage)}
    made = trainings(storage, names)
    assert not all(finished(storage, tiny.RUNS[name].run_id, evaluation_id) for name in names)
    run_on_ray(tiny.plan(*names), storage, address=None, view=view)

    for path, content in before.items():
        assert storage.read_bytes(path) == content, path
    # Their times tell that these are they, and not others like them.
    after = trainings(storage, names)
    assert made <= after
    told = {(event.run.run_id, event.evaluation_id, event.training) for event in view.of(TrainingDone)}
    assert told == after - made
    assert len(view.of(TrainingDone)) == len(told)
    assert tiny.rows(storage, *names) == tiny.rows(expected, *names)
    for name in names:
        tiny.assert_same(storage, expected, name)


def trainings(storage, names):
    """The recorded trainings of all runs, times included."""
    return {
        (tiny.RUNS[name].run_id, evaluation.content_id, training)
        for name in names
        for evaluation in (tiny.EVALUATION, tiny.SOFT)
        for network in evaluation.networks
        for training in read_trainings(storage, tiny.RUNS[name].run_id, evaluation.content_id, network.key)
    }


def files(storage):
    """What is written once and for all: results, experts, distilled runs."""
    ended = ("distillation.json", ".arrow", "synthetic_set.safetensors")
    found = [str(path.relative_to(storage.uri)) for path in Path(storage.uri).rglob("*") if path.is_file()]
    return [path for path in found if path.startswith("results/") or path.endswith(ended)]


@pytest.mark.full
def test_no_run_can_start(storage, view):
    run_on_ray(tiny.plan("failing experts"), storage, address=None, view=view)
    (failed,) = view.of(RunFailed)
    assert failed.failure.stage == "experts"
    assert [failure.run_id for failure in read_failures(storage)] == [tiny.RUNS["failing experts"].run_id]


@pytest.mark.full
def test_trials_start_beside_the_experts_of_others(storage, view):
    slow = tiny.MATCHING.replace(experts=tiny.EXPERTS.replace(count=6))
    runs = (tiny.RUNS["random"], tiny.BASE.replace(algorithm=slow))
    sweep = tiny.plan("random").sweep.replace(runs=runs, evaluations=(tiny.EVALUATION,))
    run_on_ray(tiny.make_plan(sweep), storage, address=None, view=view)
    kinds = [type(event) for event in view.events if isinstance(event, ExpertEpoch | RunDistilled)]
    assert kinds.count(RunDistilled) == 2
    assert kinds.index(RunDistilled) < len(kinds) - 1 - kinds[::-1].index(ExpertEpoch)
