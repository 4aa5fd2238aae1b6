"""What runs when, what is tried again and what is given up: the scheduler and a sweep's policy, without Ray."""

import time

import pytest

from glad_ray.engine.budget import Budget
from glad_ray.engine.jobs import DistillationJob, Ended, EvaluationJob, ExpertsJob, Outcome
from glad_ray.engine.remaining import remaining_work
from glad_ray.engine.scheduler import Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.engine.sweep_policy import SweepPolicy
from glad_ray.errors import GladRayError
from glad_ray.progress.events import Retried, RunDistilled, RunFailed, RunFinished, RunProgressed
from glad_ray.progress.faults import LOST, RETRIES, Fault
from glad_ray.results import Progress, read_failure
from glad_ray.spec import Resources, Share
from tests.engine import tiny

LOST_ONCE = Fault(LOST, "", "infrastructure")
NO_MEMORY = Fault("CUDA out of memory", "", "GPU memory")
OWN = Fault("the loss is not finite", "trace")
PAUSES = [1, 3, 9, 27, 81]


class FakeExecutor:
    """Keeps what is submitted; a test says how each job ends."""

    def __init__(self, slots=10):
        self.slots, self.submitted, self.under_way, self.cancelled = slots, [], {}, False
        self._ended, self.events = [], []

    def submit(self, job, share, attempt):
        self.submitted.append((job, share, attempt))
        self.under_way[job.key] = job

    def poll(self, timeout_seconds, on_event):
        events, self.events = self.events, []
        for event in events:
            on_event(event)
        ended, self._ended = self._ended, []
        return ended

    def capacity(self):
        return self.slots

    def cancel(self):
        self.cancelled = True

    def end(self, job, fault=None, step=None):
        del self.under_way[job.key]
        self._ended.append(Ended(job, Outcome(fault=fault, step=step)))

    def of(self, kind):
        """What is under way of a kind, in the order of submission."""
        return [job for job in self.under_way.values() if isinstance(job, kind)]

    @property
    def distilling(self):
        return [job.run.run_id for job in self.of(DistillationJob)]


class Driven:
    """A sweep with a fake executor, a clock set by hand, and rows that are only noted."""

    def __init__(self, plan, storage, view, slots=10, resources=None):
        self.executor, self.rows, self.storage, self.view = FakeExecutor(slots), [], storage, view
        sweep = plan.sweep if resources is None else plan.sweep.replace(resources=resources)
        self.shares, self.budget = ShareTable(sweep.resources), Budget(sweep.resources, lambda: time.monotonic())
        self.policy = SweepPolicy(remaining_work(plan, storage), sweep, storage, view, self.write_rows)
        self.scheduler = Scheduler(self.executor, self.policy, self.shares, self.budget, view)
        self.write_faults = []

    def write_rows(self, sweep, run, evaluation, storage):
        if self.write_faults:
            raise self.write_faults.pop()
        self.rows.append(run.run_id)

    def turn(self):
        return self.scheduler.turn()

    def end(self, job, fault=None, step=None):
        """A job ends; what follows is begun."""
        self.executor.end(job, fault, step)
        self.turn()
        return self.turn()


@pytest.fixture
def drive(storage, view, clock):
    return lambda *names, **given: Driven(tiny.plan(*names, evaluations=(tiny.EVALUATION,)), storage, view, **given)


def seeds(count):
    runs = tuple(tiny.BASE.replace(seed=seed) for seed in range(count))
    return tiny.make_plan(tiny.Sweep(name="seeds", runs=runs, evaluations=(tiny.EVALUATION,)))


@pytest.fixture
def drive_seeds(storage, view, clock):
    return lambda count, **given: Driven(seeds(count), storage, view, **given)


def test_runs_begin_in_the_plans_order_as_far_as_there_is_room(drive_seeds):
    driven = drive_seeds(5, slots=2)
    order = [run.run_id for run in seeds(5).runs]
    driven.turn()
    assert driven.executor.distilling == order[:2]
    driven.end(driven.executor.of(DistillationJob)[0])
    assert driven.executor.distilling == order[1:3]


def test_no_more_at_once_than_the_sweep_allows(drive_seeds):
    driven = drive_seeds(3, resources=Resources(max_trials=1))
    driven.turn()
    assert len(driven.executor.distilling) == 1


def test_one_begins_though_there_is_no_room_so_that_a_machine_may_come(drive_seeds):
    driven = drive_seeds(3, slots=0)
    driven.turn()
    assert len(driven.executor.distilling) == 1
    driven.turn()
    assert len(driven.executor.distilling) == 1


def test_a_run_is_evaluated_by_every_network_and_its_rows_follow(drive):
    driven = drive("dm")
    driven.turn()
    (distillation,) = driven.executor.of(DistillationJob)
    driven.end(distillation)
    evaluations = driven.executor.of(EvaluationJob)
    assert {job.network.key for job in evaluations} == {each.key for each in tiny.EVALUATION.networks}
    assert not driven.rows
    for job in evaluations:
        going = driven.end(job)
    assert not going
    assert driven.rows == [distillation.run.run_id]
    assert [type(event) for event in driven.view.events if not isinstance(event, Retried)][-2:] == [
        RunDistilled,
        RunFinished,
    ]
    assert not driven.policy.unfinished


def test_who_waits_for_its_experts_lets_others_pass(drive):
    driven = drive("mtt", "dm")
    driven.turn()
    assert [job.run.algorithm.name for job in driven.executor.of(DistillationJob)] == ["dm"]
    for job in driven.executor.of(ExpertsJob):
        driven.end(job)
    assert {job.run.algorithm.name for job in driven.executor.of(DistillationJob)} == {"dm", "mtt"}


def test_runs_fail_with_their_experts(drive):
    driven = drive("mtt", "dm")
    driven.turn()
    first, *_ = driven.executor.of(ExpertsJob)
    driven.end(first, OWN)
    (failed,) = driven.view.of(RunFailed)
    assert (failed.failure.stage, failed.failure.error) == ("experts", OWN.error)
    assert [job.run.algorithm.name for job in driven.executor.of(DistillationJob)] == ["dm"]


def test_a_fault_of_its_own_is_recorded_with_the_step_and_never_tried_again(drive):
    driven = drive("dm")
    driven.turn()
    (job,) = driven.executor.of(DistillationJob)
    assert not driven.end(job, OWN, step=7)
    assert len(driven.executor.submitted) == 1
    failure = read_failure(driven.storage, job.run.run_id)
    assert (failure.stage, failure.error, failure.step) == ("distill", OWN.error, 7)
    assert not driven.policy.unfinished


def test_networks_that_fail_are_named_after_all_have_ended(drive):
    driven = drive("dm")
    driven.turn()
    driven.end(driven.executor.of(DistillationJob)[0])
    first, second = driven.executor.of(EvaluationJob)
    driven.end(first, OWN)
    assert not driven.view.of(RunFailed)
    driven.end(second)
    (failed,) = driven.view.of(RunFailed)
    assert failed.failure.stage == "evaluate"
    assert first.network.title in failed.failure.error
    assert not driven.rows


def test_what_was_lost_is_tried_again_so_often_after_longer_and_longer(drive, clock):
    driven = drive("dm")
    driven.turn()
    for tries, pause in enumerate(PAUSES, 1):
        (job,) = driven.executor.of(DistillationJob)
        assert driven.end(job, LOST_ONCE)
        clock[0] += pause - 0.1
        driven.turn()
        assert not driven.executor.under_way
        clock[0] += 0.1
        driven.turn()
        assert driven.executor.submitted[-1][2] == tries
    assert tries == RETRIES
    driven.end(driven.executor.of(DistillationJob)[0], LOST_ONCE)
    (failed,) = driven.view.of(RunFailed)
    assert failed.failure.error == f"{LOST}, {RETRIES + 1} times"
    assert len(driven.view.of(Retried)) == RETRIES


def test_a_run_that_makes_steps_between_faults_is_never_given_up(drive, clock):
    driven = drive("dm")
    driven.turn()
    for step in range(1, 3 * RETRIES):
        (job,) = driven.executor.of(DistillationJob)
        driven.executor.events.append(RunProgressed(job.run, Progress(step, 100, 0.0, 0.0)))
        driven.turn()
        driven.end(job, LOST_ONCE)
        clock[0] += PAUSES[-1]
        driven.turn()
    assert not driven.view.of(RunFailed)


def test_while_one_waits_to_be_tried_again_it_keeps_its_place(drive_seeds, clock):
    driven = drive_seeds(3, slots=1)
    driven.turn()
    driven.end(driven.executor.of(DistillationJob)[0], LOST_ONCE)
    assert not driven.executor.under_way
    clock[0] += 1
    driven.turn()
    assert driven.executor.submitted[0][0] == driven.executor.submitted[1][0]


def test_more_of_a_gpu_after_its_memory_was_short_for_this_run_and_later_ones(drive_seeds, clock):
    driven = drive_seeds(4, slots=2, resources=Resources(trial=Share(gpus=0.25)))
    driven.turn()
    for job in driven.executor.of(DistillationJob):
        driven.executor.end(job, NO_MEMORY)
    driven.turn()
    clock[0] += PAUSES[0]
    driven.turn()
    assert [share.gpus for _, share, _ in driven.executor.submitted] == [0.25, 0.25, 0.5, 0.5]
    first = driven.executor.of(DistillationJob)[0]
    driven.end(first, NO_MEMORY)
    clock[0] += PAUSES[1]
    driven.turn()
    assert driven.executor.submitted[-1][1].gpus == 1.0
    driven.end(first, NO_MEMORY)
    assert [event.failure.error for event in driven.view.of(RunFailed)] == [f"{NO_MEMORY.error}, 3 times"]


def test_rows_that_cannot_be_written_are_written_later(drive, clock):
    driven = drive("dm")
    driven.write_faults = [OSError("the disk is full")]
    driven.turn()
    driven.end(driven.executor.of(DistillationJob)[0])
    for job in driven.executor.of(EvaluationJob):
        driven.end(job)
    assert not driven.rows
    assert driven.turn()
    clock[0] += PAUSES[0]
    driven.turn()
    assert len(driven.rows) == 1


def test_a_failure_that_cannot_be_recorded_ends_everything(drive, clock, monkeypatch):
    def never(*arguments):
        raise OSError("the disk is full")

    driven = drive("dm")
    driven.turn()
    monkeypatch.setattr("glad_ray.engine.remaining.write_failure", never)
    driven.end(driven.executor.of(DistillationJob)[0], OWN)
    for _ in range(RETRIES - 1):
        clock[0] += PAUSES[-1]
        driven.turn()
    clock[0] += PAUSES[-1]
    with pytest.raises(GladRayError, match="the disk is full, 6 times"):
        driven.turn()


def test_at_the_end_of_a_budget_nothing_begins_and_what_was_interrupted_goes_on_later(drive_seeds, clock):
    driven = drive_seeds(4, slots=2, resources=Resources(hours=1))
    driven.turn()
    first, second = driven.executor.of(DistillationJob)
    driven.executor.end(second, LOST_ONCE)
    driven.turn()
    clock[0] += 3600
    driven.turn()
    assert driven.executor.cancelled
    assert driven.scheduler.ending
    assert driven.turn(), "one is under way"
    assert not driven.end(first, Fault("ended", "", "stopped"))
    assert len(driven.executor.submitted) == 2, "nothing was tried again"
    assert not driven.view.of(RunFailed)
    assert driven.policy.unfinished


def test_what_ended_before_a_budget_was_spent_is_written(drive, clock):
    driven = drive("dm", resources=Resources(hours=1))
    driven.turn()
    driven.end(driven.executor.of(DistillationJob)[0])
    clock[0] += 3600
    for job in driven.executor.of(EvaluationJob):
        driven.end(job)
    assert len(driven.rows) == 1
    assert not driven.policy.unfinished


def test_no_budget_no_work(drive, clock):
    driven = drive("dm", "mtt", resources=Resources(hours=1))
    clock[0] += 3600
    assert not driven.turn()
    assert not driven.executor.submitted
    assert driven.policy.unfinished
