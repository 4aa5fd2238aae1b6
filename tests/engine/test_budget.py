"""Budgets of one command: it ends cleanly, nothing is lost, and the next command goes on."""

import pytest

from glad_ray.engine.budget import Budget
from glad_ray.engine.in_process import distill_in_process, run_in_process
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.experts import missing_experts
from glad_ray.plan import make_plan
from glad_ray.progress.events import Ending, RunDistilled, RunFailed, RunFinished, RunProgressed, TrainingDone
from glad_ray.results import read_entry, read_failures
from glad_ray.spec import Resources, Sweep
from tests.engine import tiny


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_hours_on_the_clock():
    clock = Clock()
    budget = Budget(Resources(hours=2), clock)
    clock.seconds = 7199
    assert budget.spent is None
    clock.seconds = 7200
    assert budget.spent == "the 2 hours that this command may take (resources.hours)"


def test_hours_of_gpus():
    clock = Clock()
    budget = Budget(Resources(gpu_hours=1), clock)
    budget.taken(("trial", "a"), 0.25)
    budget.taken(("trial", "b"), 0.5)
    clock.seconds = 3600
    assert budget.gpu_hours == pytest.approx(0.75)
    budget.given_back(("trial", "b"), 0.5, 3600)
    # What ends before it is known to have begun counts too, and holds nothing.
    budget.lost(("trial", "never begun"))
    # Lost and begun again: it holds one share, not two.
    budget.taken(("trial", "a"), 0.25)
    clock.seconds = 5400
    assert budget.gpu_hours == pytest.approx(0.875)
    assert budget.spent is None
    clock.seconds = 7200
    assert budget.spent == "the 1 GPU hours that this command may take (resources.gpu_hours)"


def test_what_a_unit_says_it_held_counts_once():
    clock = Clock()
    budget = Budget(Resources(gpu_hours=1), clock)
    budget.taken(("trial", "a"), 1.0)
    clock.seconds = 100
    budget.given_back(("trial", "a"), 1.0, 90)
    clock.seconds = 7200
    assert budget.gpu_hours == pytest.approx(90 / 3600)


def test_no_bound():
    clock = Clock()
    budget = Budget(Resources(), clock)
    budget.taken(("trial", "a"), 1.0)
    clock.seconds = 1e9
    assert budget.spent is None


def test_a_distillation_is_kept_at_its_step(in_process, storage, view, spend):
    plan, run = tiny.plan("dm", "random"), tiny.RUNS["dm"]
    view.on_event = lambda event: spend() if isinstance(event, RunProgressed) and event.progress.step == 7 else None
    assert run_in_process(plan, storage, device="cpu", view=view) == "the hours of this test"
    assert read_entry(storage, run.run_id, "checkpoint").step == 7
    assert len(view.of(Ending)) == 1
    assert not view.of(RunDistilled)
    assert not read_failures(storage)

    spend(False)
    assert run_in_process(plan, storage, device="cpu", view=view) is None
    assert [event.progress.step for event in view.of(RunProgressed)] == list(range(1, run.steps + 1))
    assert tiny.rows(storage, "dm", "random") == tiny.rows(in_process[0], "dm", "random")


def test_it_ends_between_trainings(in_process, storage, view, spend):
    plan = tiny.plan("random")
    view.on_event = lambda event: spend() if isinstance(event, TrainingDone) else None
    assert run_in_process(plan, storage, device="cpu", view=view) == "the hours of this test"
    assert len(view.of(TrainingDone)) == 1
    view.on_event = lambda event: None
    spend(False)
    assert run_in_process(plan, storage, device="cpu", view=view) is None
    made = [(event.evaluation_id, event.training.network, event.training.repeat) for event in view.of(TrainingDone)]
    assert len(set(made)) == len(made)
    assert tiny.rows(storage, "random") == tiny.rows(in_process[0], "random")


def test_all_done_as_it_is_spent(storage, view, spend):
    view.on_event = lambda event: spend() if isinstance(event, RunFinished) else None
    assert run_in_process(tiny.plan("random"), storage, device="cpu", view=view) is None


def test_nothing_begins(storage, view, spend):
    spend()
    experts = tiny.RUNS["mtt"].expert_set
    assert run_in_process(tiny.experts(experts), storage, device="cpu", view=view) == "the hours of this test"
    assert missing_experts(storage, experts) == [0, 1]
    assert distill_in_process(tiny.plan("mtt"), storage, device="cpu", view=view) == "the hours of this test"
    assert missing_experts(storage, experts) == [0, 1]


@pytest.mark.full
@pytest.mark.usefixtures("ray_session")
def test_on_ray(in_process, storage, view, spend):
    names = ("dm", "random", "mtt")
    plan = tiny.plan(*names)
    view.on_event = lambda event: spend() if isinstance(event, RunDistilled) else None
    assert run_on_ray(plan, storage, address=None, view=view) == "the hours of this test"
    assert len(view.of(Ending)) == 1
    assert not view.of(RunFailed)
    assert not read_failures(storage)
    assert len(view.of(RunFinished)) < len(names)

    view.on_event = lambda event: None
    spend(False)
    assert run_on_ray(plan, storage, address=None, view=view) is None
    made = [
        (event.run.run_id, event.evaluation_id, event.training.network, event.training.step, event.training.repeat)
        for event in view.of(TrainingDone)
    ]
    assert len(set(made)) == len(made)
    assert tiny.rows(storage, *names) == tiny.rows(in_process[0], *names)


@pytest.mark.usefixtures("ray_session")
def test_experts_are_not_begun_on_ray(storage, view, spend):
    spend()
    experts = tiny.RUNS["mtt"].expert_set
    assert run_on_ray(tiny.experts(experts), storage, address=None, view=view) == "the hours of this test"
    assert missing_experts(storage, experts) == [0, 1]


def test_runs_that_failed():
    budget = Budget(Resources(failures=2), Clock())
    for _ in range(3):
        budget.failed("one")
    assert budget.spent is None
    budget.failed("two")
    assert budget.spent == "the 2 failures that this command may have (resources.failures)"


def test_nothing_new_begins_after_so_many_failures(storage, view):
    failing = tiny.RUNS["failing"]
    runs = tuple(failing.replace(seed=seed) for seed in range(4))
    sweep = Sweep(
        name="failing",
        runs=(*runs, tiny.RUNS["random"]),
        evaluations=tiny.EVALUATION,
        resources=Resources(failures=2),
        first=("seed=0", "seed=1"),
    )
    said = run_in_process(make_plan(sweep), storage, device="cpu", view=view)
    assert said == "the 2 failures that this command may have (resources.failures)"
    assert len(view.of(Ending)) == 1
    assert len(read_failures(storage)) == 2
    # What is wrong is mended, or it is let go on.
    assert run_in_process(make_plan(sweep.replace(resources=Resources())), storage, device="cpu", view=view) is None
    assert len(read_failures(storage)) == 4
    assert {event.run for event in view.of(RunFinished)} == {tiny.RUNS["random"]}
