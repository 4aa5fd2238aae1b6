"""The sweep_progress: what is left is kept from event to event, and is what adding it up anew gives."""

import random

import pytest

from glad_ray.progress.events import ExpertEpoch, RunDistilled, RunFailed, RunFinished, RunProgressed
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.results import Failure, Progress
from tests.engine import tiny
from tests.progress.happened import NOTHING, trainings

NAMES = ("random", "dm", "dc", "dm f3", "mtt", "herding")


@pytest.mark.parametrize("seed", range(5))
def test_asked_often_or_once(seed, clock):
    plan = tiny.plan(*NAMES, evaluations=(tiny.EVALUATION,))
    often, once = SweepProgress(plan), SweepProgress(plan)
    clock[0] += 100
    for event in [NOTHING, *events(plan, random.Random(seed))]:
        for each in (often, once):
            each.add(event)
        assert often.work_seconds_left >= 0
    # Sums in another order differ in their last digits.
    assert often.work_seconds_left == pytest.approx(once.work_seconds_left, rel=1e-12)
    assert once.work_seconds_left > 0
    assert often.trainings_done == once.trainings_done > 0


def test_nothing_is_left_of_finished_and_failed_runs(clock):
    plan = tiny.plan("random", "dm", evaluations=(tiny.EVALUATION,))
    sweep_progress = SweepProgress(plan)
    for run in plan.runs:
        for event in trainings(run):
            sweep_progress.add(event)
    assert sweep_progress.work_seconds_left > 0
    sweep_progress.add(RunFinished(plan.runs[0]))
    sweep_progress.add(failed(plan.runs[1]))
    assert sweep_progress.work_seconds_left == 0


def test_trainings_told_after_the_end_of_their_run(clock):
    plan = tiny.plan("dm", evaluations=(tiny.EVALUATION,))
    sweep_progress = SweepProgress(plan)
    (run,) = plan.runs
    *before, last = trainings(run)
    for event in [*before, RunFinished(run), last]:
        sweep_progress.add(event)
    assert sweep_progress.trainings_done == sweep_progress.trainings_total == len(before) + 1


def events(plan, rng):
    """What may happen to some of the runs, in any order."""
    for run in rng.sample(plan.runs, 4):
        done = [RunDistilled(run), *trainings(run)]
        if run.distils:
            done += [RunProgressed(run, Progress(step, run.steps, 0.1, float(step))) for step in (1, 3)]
        done += [ExpertEpoch(each, 0, epoch) for each in plan.expert_sets for epoch in (1, 2)]
        yield from rng.sample(done, len(done) // 2)
        if rng.random() < 0.5:
            yield rng.choice([RunFinished(run), failed(run)])


def failed(run):
    return RunFailed(run, Failure(run_id=run.run_id, stage="distill", error="", traceback=""))
