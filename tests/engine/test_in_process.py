"""The engine in this process: failures are recorded and the others go on, and nothing finished is repeated."""

import pytest

from glad_ray.engine.in_process import distill_in_process, run_in_process
from glad_ray.errors import RunError
from glad_ray.experts import missing_experts
from glad_ray.progress.events import (
    Begun,
    ExpertEpoch,
    RunDistilled,
    RunFailed,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.results import read_failures, read_results
from tests.engine import tiny


def test_failures_are_recorded_and_others_finish(in_process):
    storage, view = in_process
    failures = {failure.run_id: failure for failure in read_failures(storage)}
    assert failures.keys() == {tiny.RUNS[name].run_id for name in ("failing", "failing experts")}
    failed = failures[tiny.RUNS["failing"].run_id]
    assert (failed.stage, failed.step) == ("distill", 1)
    assert "not finite at step 1" in failed.error
    assert "RunError" in failed.traceback
    assert "distillation.py" in failed.traceback
    assert failures[tiny.RUNS["failing experts"].run_id].stage == "experts"
    assert {event.run.run_id for event in view.of(RunFailed)} == failures.keys()
    assert {event.run.run_id for event in view.of(RunFinished)} == {tiny.RUNS[name].run_id for name in tiny.SOUND}
    assert set(read_results(storage)["run_id"].to_pylist()) == {tiny.RUNS[name].run_id for name in tiny.SOUND}


def test_finished_is_a_no_op(in_process, view):
    storage, _ = in_process
    before = read_results(storage)
    run_in_process(tiny.plan(*tiny.SOUND), storage, device="cpu", view=view)
    (begun,) = view.events
    assert isinstance(begun, Begun)
    assert len(begun.finished) == len(tiny.SOUND)
    assert read_results(storage).equals(before)


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises."""


def test_interrupted_sweep_goes_on(in_process, storage, view):
    expected, _ = in_process
    trainings = []

    def interrupt(event):
        if isinstance(event, TrainingDone):
            training = event.training
            of = (event.run.run_id, event.evaluation_id)
            trainings.append((*of, training.network, training.step, training.repeat))
            if len(trainings) == 5:
                raise Interrupted

    view.on_event = interrupt
    plan = tiny.plan("dm", "random")
    with pytest.raises(Interrupted):
        run_in_process(plan, storage, device="cpu", view=view)
    run_in_process(plan, storage, device="cpu", view=view)
    assert len(set(trainings)) == len(trainings) == 2 * 2 * 2 + 2 * 2 + 2 + 1
    assert len(view.of(RunDistilled)) == 2
    assert tiny.rows(storage, "dm", "random") == tiny.rows(expected, "dm", "random")


def test_another_interval_between_checkpoints_goes_on_with_the_same_run(in_process, storage, view):
    expected, _ = in_process
    steps = []

    def interrupt(event):
        if isinstance(event, RunProgressed):
            steps.append(event.progress.step)
            if len(steps) == 11:
                raise Interrupted

    view.on_event = interrupt
    with pytest.raises(Interrupted):
        run_in_process(tiny.plan("dm"), storage, device="cpu", view=view)
    plan = tiny.plan("dm")
    changed = plan.sweep.replace(runs=[tiny.RUNS["dm"].replace(checkpoint_every=7)])
    run_in_process(tiny.make_plan(changed), storage, device="cpu", view=view)
    assert steps[:11] == list(range(1, 12))
    # The interrupted step is not kept: the checkpoint before it is.
    assert steps[11] in (11, 12)
    tiny.assert_same(storage, expected, "dm")
    assert tiny.rows(storage, "dm") == tiny.rows(expected, "dm")


@pytest.mark.full
def test_runs_with_fewer_experts_are_served_by_those_of_more(storage, view):
    fewer, more = (
        tiny.RUNS["mtt"],
        tiny.RUNS["mtt"].replace(algorithm=tiny.MATCHING.replace(experts=tiny.EXPERTS.replace(count=3, epochs=3))),
    )
    plan = tiny.make_plan(tiny.Sweep(name="shared", runs=(fewer, more), evaluations=(tiny.EVALUATION,)))
    run_in_process(plan, storage, device="cpu", view=view)
    assert {run.run_id for run in (fewer, more)} == {event.run.run_id for event in view.of(RunFinished)}
    assert [(event.expert, event.epoch) for event in view.of(ExpertEpoch)] == [
        (expert, epoch) for expert in range(3) for epoch in (1, 2, 3)
    ]
    (folder,) = storage.list(storage.EXPERTS)
    assert len(storage.list(folder)) == 3


def test_single_units(storage, view):
    expert_set = tiny.RUNS["mtt"].expert_set
    run_in_process(tiny.experts(expert_set), storage, device="cpu", view=view)
    assert missing_experts(storage, expert_set) == []
    assert [(event.expert, event.epoch) for event in view.of(ExpertEpoch)] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    distill_in_process(tiny.plan("mtt"), storage, device="cpu", view=view)
    assert len(view.of(ExpertEpoch)) == 4
    assert view.of(Begun)[-1].experts[expert_set.content_id] == 2
    with pytest.raises(RunError):
        distill_in_process(tiny.plan("failing"), storage, device="cpu", view=view)
