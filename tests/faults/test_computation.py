"""Work that goes wrong by itself: numbers that are not finite, a training that hangs, memory of a GPU that is short."""

import html

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import write_plan
from glad_ray.progress.events import Retried, RunFailed, RunFinished, TrainingDone
from glad_ray.progress.faults import LOST
from glad_ray.report import write_report
from glad_ray.results import finished, read_failures, read_trainings
from glad_ray.spec import Network
from tests.engine import tiny
from tests.faults.tables import assert_nothing_twice, assert_same_table, plan

NETWORKS = "tests.faults.networks"
ENGINES = ["in process", pytest.param("on Ray", marks=pytest.mark.full)]


def run(engine, made, storage, view, request):
    """A sweep by one of the engines."""
    if engine == "in process":
        run_in_process(made, storage, device="cpu", view=view)
    else:
        request.getfixturevalue("ray_session")
        run_on_ray(made, storage, address=None, view=view)


@pytest.mark.parametrize("engine", ENGINES)
def test_hung_evaluation(engine, storage, view, request, seen, tmp_path):
    hung = tmp_path / "hung"
    hung.mkdir()
    network = Network(name=f"{NETWORKS}:hangs", options={"folder": str(hung), "times": 2})
    evaluation = tiny.EVALUATION.replace(networks=(tiny.BACKBONE, network), epochs=1)
    # On Ray with time for what a new process imports, beside other work.
    minutes = 0.05 if engine == "in process" else 0.25
    made = tiny.plan("random", evaluations=(evaluation,), evaluation_timeout_minutes=minutes)
    run(engine, made, storage, view, request)
    again = [event.error for event in view.of(Retried)]
    assert len(again) == 2, again
    # The process that is ended may take the next task with it.
    assert LOST not in again[0]
    again = [error for error in again if error != LOST]
    assert all(f"no end within {minutes:g} minutes (resources.evaluation_timeout_minutes)" in error for error in again)
    assert len(view.of(RunFinished)) == 1
    assert len(view.of(TrainingDone)) == 2 * evaluation.repeats * len(tiny.RUNS["random"].snapshot_steps)
    assert_nothing_twice(view)
    seen(f"an evaluation hangs, {engine}", "again, with the bound", "all its trainings, each made once")


@pytest.mark.parametrize("engine", ENGINES)
def test_not_finite_in_a_distillation(engine, in_process, storage, view, request, seen):
    made = plan("failing", "random")
    run(engine, made, storage, view, request)
    (failure,) = read_failures(storage)
    assert failure.run_id == tiny.RUNS["failing"].run_id
    assert "not finite at step 1" in failure.error
    assert "RunError" in failure.traceback
    assert not view.of(Retried), view.of(Retried)
    assert len(view.of(RunFailed)) == 1
    assert_same_table(storage, in_process[0], "random")
    write_plan(made, storage)
    assert failure.error in html.unescape(storage.read_bytes(write_report(storage)).decode())
    seen(
        f"NaN in a distillation, {engine}",
        "failed, with step and reason; so says the report",
        "not tried again; the others' same rows",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_not_finite_in_an_evaluation(engine, storage, view, request, seen):
    network = Network(name=f"{NETWORKS}:not_finite")
    evaluation = tiny.EVALUATION.replace(networks=(network, tiny.BACKBONE))
    made = tiny.plan("random", evaluations=(evaluation,))
    run(engine, made, storage, view, request)
    run_id, evaluation_id = tiny.RUNS["random"].run_id, evaluation.content_id
    (failure,) = read_failures(storage)
    assert failure.stage == "evaluate"
    assert failure.error.startswith(f"{network.title}: the training loss is nan in epoch 0")
    assert len(read_trainings(storage, run_id, evaluation_id, tiny.BACKBONE.key)) == evaluation.repeats
    assert not finished(storage, run_id, evaluation_id), "a run without all networks never looks complete"
    assert not view.of(Retried), view.of(Retried)
    view.events.clear()
    run(engine, made, storage, view, request)
    assert not view.of(TrainingDone), "what was trained is kept"
    assert len(view.of(RunFailed)) == 1
    told = "failed, with the network and reason"
    seen(f"NaN in an evaluation, {engine}", told, "not tried again; the other networks' trainings are kept")
