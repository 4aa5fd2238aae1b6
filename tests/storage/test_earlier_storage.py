"""A storage that an earlier version wrote, whose ids followed from more fields, is gone on with under those ids.

`earlier/sweep` was left by a sweep that was interrupted: one run had its rows, two were at step 3, and the experts of
two were trained.
"""

from pathlib import Path

from glad_ray.plan import as_stored, make_plan, plan_experts
from glad_ray.results import missing_experts
from tests.storage.recording import Recording, SweepSuite

RECORDING = Recording(
    folder=Path(__file__).parent / "earlier",
    states={"finished": "finished", "interrupted": "interrupted", "mtt": "interrupted", "herding": "planned"},
    first_steps={"interrupted": 4, "mtt": 4},
    trainings={"interrupted": 1, "mtt": 1, "herding": 1},
)
SWEEP = RECORDING.sweep


class TestSweep(SweepSuite):
    """The suite of every recorded sweep."""


def test_what_is_there_is_known_by_its_former_id(left):
    plan = as_stored(make_plan(SWEEP), left)
    begun = RECORDING.named("finished", "interrupted", "mtt")
    assert begun <= {run.run_id for run in plan.runs}
    assert not begun & {run.run_id for run in make_plan(SWEEP).runs}
    assert {each.stored_id for each in plan.expert_sets} == set(RECORDING.expected["expert_sets"].values())
    assert all(missing_experts(left, each) == [] for each in plan.expert_sets)
    assert [run.content_id for run in plan.runs] == [run.content_id for run in make_plan(SWEEP).runs]
    assert {run.run_id for run in plan.sweep.runs} == {run.run_id for run in plan.runs}


def test_what_is_not_there_has_the_id_of_its_content(left, storage):
    fresh = SWEEP.replace(runs=[run.replace(seed=7) for run in SWEEP.runs])
    plan = make_plan(fresh)
    assert {run.run_id for run in as_stored(plan, left).runs} == {run.content_id for run in plan.runs}
    assert as_stored(make_plan(SWEEP), storage) == make_plan(SWEEP)


def test_experts_alone_are_known_too(left):
    (mtt,) = [run for run in SWEEP.runs if run.algorithm.name == "mtt"]
    (expert_set,) = as_stored(plan_experts(mtt.expert_set), left).expert_sets
    assert expert_set.stored_id == RECORDING.expected["expert_sets"]["mtt"]
    more = mtt.expert_set.replace(experts=mtt.expert_set.experts.replace(count=3))
    (another,) = as_stored(plan_experts(more), left).expert_sets
    assert another.stored_id == more.content_id
