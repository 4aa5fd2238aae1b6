"""Short looks choose the step that is evaluated in full: what they see, what they leave out, and what goes wrong."""

import statistics

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.jobs import DistillationJob, EvaluationJob
from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.engine.remaining import remaining_work
from glad_ray.engine.sweep_policy import SweepPolicy
from glad_ray.errors import UserError
from glad_ray.plan import make_plan, write_plan
from glad_ray.plan.cost import evaluate_flops
from glad_ray.plan.show import plan_tables
from glad_ray.progress.events import LookTaken, RunFailed, RunFinished, TrainingDone
from glad_ray.progress.faults import Fault
from glad_ray.progress.status import read_status
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.report import write_report
from glad_ray.results import Look, read_failures, read_results, read_trainings, write_look
from glad_ray.spec import DM, Looks, Network, Sweep
from glad_ray.spec.written.overrides import override_sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

RUN = tiny.BASE.replace(algorithm=DM(iterations=6, real_batch_size=8), snapshots=3)
RANDOM = tiny.RUNS["random"]
WHOLE = tiny.EVALUATION.replace(networks=(*tiny.EVALUATION.networks, Network(width=4, depth=1)))
LOOKING = WHOLE.replace(looks=Looks(epochs=2))
STEPS = RUN.snapshot_steps
LOOKS = LOOKING.looking(RUN)


def plan(*evaluations, runs=(RUN, RANDOM)):
    return make_plan(Sweep(name="looked", runs=runs, evaluations=evaluations or (LOOKING,)))


def path(storage, step, network):
    return storage.look_path(RUN.run_id, step, LOOKS.content_id, network.key)


def chosen(storage):
    """The step of the best mean accuracy of the looks, of equals the later one."""
    means = {
        step: statistics.fmean(
            Look.model_validate_json(storage.read_bytes(path(storage, step, network))).accuracies[0]
            for network in LOOKS.networks
        )
        for step in STEPS
    }
    return max(STEPS, key=lambda step: (means[step], step))


def rows(storage):
    dropped = (*tiny.OF_THE_MACHINE, "evaluation_id", "sweep")
    return read_results(storage).drop_columns(dropped).to_pylist()


def distilled(storage, step):
    """A storage with looks that choose a step."""
    for each in STEPS:
        for network in LOOKS.networks:
            write_look(storage, path(storage, each, network), Look(accuracies=(0.9 if each == step else 0.1,)))
    return storage


@pytest.fixture(scope="module")
def in_full(tmp_path_factory):
    """The rows where every kept set is evaluated in full."""
    storage = Storage.open(tmp_path_factory.mktemp("in-full"))
    run_in_process(plan(WHOLE), storage, device="cpu", view=Recorded())
    return rows(storage)


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    storage, view = Storage.open(tmp_path_factory.mktemp("looked")), Recorded()
    run_in_process(plan(), storage, device="cpu", view=view)
    return storage, view


def test_who_looks():
    assert LOOKS.networks == WHOLE.networks[:2], "the backbone, and one that does not distil"
    assert (LOOKS.epochs, LOOKS.repeats, LOOKS.looks) == (2, 1, None)
    assert LOOKING.looking(RANDOM) is None, "it has one set"
    assert WHOLE.looking(RUN) is None
    other = RUN.replace(backbone=Network(width=16))
    assert LOOKING.looking(other).networks == WHOLE.networks[:1], "its backbone is none of the evaluation's"


def test_an_evaluation_without_looks_is_what_it_was():
    assert "looks" not in WHOLE.identity
    assert WHOLE.content_id != LOOKING.content_id


def test_looks_need_images_that_no_run_is_distilled_from():
    with pytest.raises(UserError, match=r"^dm pixel .* keeps no training images for looks .*: set held_out"):
        plan(runs=(RUN.replace(held_out=0),))
    plan(runs=(RUN.replace(held_out=0, snapshots=1),))


def test_what_is_evaluated_in_full_is_what_it_would_be_without_looks(looked, in_full):
    storage, view = looked
    step = chosen(storage)
    ours = [row for row in rows(storage) if row["run_id"] == RUN.run_id]
    assert {(row["selection"], row["step"]) for row in ours} == {("last", STEPS[-1]), ("looks", step)}
    assert [row for row in ours if row["selection"] == "last"] == [
        row for row in in_full if row["run_id"] == RUN.run_id and row["selection"] == "last"
    ]
    assert {event.training.step for event in view.of(TrainingDone) if event.run == RUN} == {step, STEPS[-1]}
    # A run with one set is evaluated as ever.
    assert [row for row in rows(storage) if row["run_id"] == RANDOM.run_id] == [
        row for row in in_full if row["run_id"] == RANDOM.run_id
    ]


def test_every_look_is_told_once_and_none_sees_a_test_image(looked):
    storage, view = looked
    told = [(event.step, event.network.key, event.repeat) for event in view.of(LookTaken)]
    assert sorted(told) == sorted((step, network.key, 0) for step in STEPS for network in LOOKS.networks)
    assert {event.run for event in view.of(LookTaken)} == {RUN}
    for step in STEPS:
        for network in LOOKS.networks:
            (accuracy,) = Look.model_validate_json(storage.read_bytes(path(storage, step, network))).accuracies
            assert accuracy * tiny.BASE.held_out * 10 == pytest.approx(round(accuracy * tiny.BASE.held_out * 10))


@pytest.mark.parametrize("step", STEPS)
def test_the_step_that_looks_choose_and_the_last_are_evaluated(storage, view, step, in_full):
    run_in_process(plan(), distilled(storage, step), device="cpu", view=view)
    assert not view.of(LookTaken), "they are there"
    trained = {
        training.step for training in read_trainings(storage, RUN.run_id, LOOKING.content_id, LOOKS.networks[0].key)
    }
    assert trained == {step, STEPS[-1]}
    of_look = [row for row in rows(storage) if row["selection"] == "looks"]
    assert {row["step"] for row in of_look} == {step}
    assert len(of_look) == len(WHOLE.networks) * WHOLE.repeats


def test_of_equal_looks_the_later_one_counts(storage, view):
    for step in STEPS:
        for network in LOOKS.networks:
            write_look(storage, path(storage, step, network), Look(accuracies=(0.5,)))
    run_in_process(plan(), storage, device="cpu", view=view)
    assert {row["step"] for row in rows(storage)} == {0, STEPS[-1]}


def test_a_look_that_is_lost_is_taken_again_and_no_other(looked, storage, view, in_full):
    expected, _ = looked
    ended = []

    def end(event):
        ended.append(event)
        if len(ended) == 3:
            raise KeyboardInterrupt

    view.on_event = lambda event: end(event) if isinstance(event, LookTaken) else None
    with pytest.raises(KeyboardInterrupt):
        run_in_process(plan(), storage, device="cpu", view=view)
    assert not view.of(TrainingDone) or all(event.run == RANDOM for event in view.of(TrainingDone))
    first = view.of(LookTaken)[0]
    storage.write_bytes(path(storage, first.step, first.network), b'{"accuracies": [0.')
    run_in_process(plan(), storage, device="cpu", view=view)
    assert len(view.of(LookTaken)) == len(STEPS) * len(LOOKS.networks) + 1
    assert rows(storage) == rows(expected)


def policy(storage, *evaluations):
    planned = plan(*evaluations, runs=(RUN,))
    return SweepPolicy(remaining_work(planned, storage), planned.sweep, storage, Recorded(), lambda *written: None)


def test_looks_begin_while_their_run_is_distilled_one_at_a_time_for_a_network(storage):
    sweeps, first = policy(storage), LOOKS.networks[0]
    assert STEPS == (2, 4, 6)
    assert list(sweeps.reached(RUN, 1)) == []
    begun = list(sweeps.reached(RUN, 2))
    assert [(job.network, job.steps) for job in begun] == [(network, (2,)) for network in LOOKS.networks]
    # Steps that are made meanwhile wait for the end of a look, and of several only the last may be told.
    assert list(sweeps.reached(RUN, 5)) == []
    (next_of_first,) = sweeps.succeeded(begun[0], None)
    assert (next_of_first.network, next_of_first.steps) == (first, (4,))
    assert list(sweeps.succeeded(DistillationJob(RUN), None)) == []
    (last_of_first,) = sweeps.succeeded(next_of_first, None)
    (all_of_other,) = sweeps.succeeded(begun[1], None)
    assert (last_of_first.steps, all_of_other.steps) == ((6,), (4, 6))
    assert list(sweeps.succeeded(last_of_first, None)) == []
    in_full = list(sweeps.succeeded(all_of_other, None))
    assert in_full == [EvaluationJob(RUN, LOOKING, network) for network in LOOKING.networks]


def test_looks_that_end_before_their_run_does(storage):
    sweeps = policy(storage)
    for job in list(sweeps.reached(RUN, STEPS[-1])):
        assert list(sweeps.succeeded(job, None)) == []
    in_full = list(sweeps.succeeded(DistillationJob(RUN), None))
    assert in_full == [EvaluationJob(RUN, LOOKING, network) for network in LOOKING.networks]


@pytest.mark.parametrize("others", [(), (LOOKING.replace(epochs=5), WHOLE)])
def test_a_look_that_fails_while_its_run_is_distilled(storage, others):
    sweeps = policy(storage, LOOKING, *others)
    fault = Fault("lower its learning rate", "", "own")
    for job in list(sweeps.reached(RUN, 2)):
        assert list(sweeps.failed(job, fault, None)) == []
    assert list(sweeps.reached(RUN, 4)) == [], "the run is not looked at again"
    jobs = list(sweeps.succeeded(DistillationJob(RUN), None))
    left = [job for job in jobs if isinstance(job, EvaluationJob)]
    assert all(job.evaluation == WHOLE for job in left)
    assert bool(left) == (WHOLE in others)
    failures = [job for job in jobs if job not in left]
    for job in left:
        failures += sweeps.succeeded(job, None)
    assert [job.key for job in failures] == [("failure", RUN.run_id)]


def test_on_ray_as_in_one_process(looked, storage, view, ray_session):
    expected, in_process_view = looked
    run_on_ray(plan(), storage, address=None, view=view)
    assert rows(storage) == rows(expected)
    for kind in (LookTaken, TrainingDone, RunFinished):
        assert len(view.of(kind)) == len(in_process_view.of(kind))


def test_a_look_that_fails_fails_its_run_and_nothing_that_needs_no_look(storage, view):
    broken = LOOKING.replace(learning_rates={**LOOKING.learning_rates, "convnet": 1e30})
    run_in_process(plan(broken, WHOLE, runs=(RUN,)), storage, device="cpu", view=view)
    (failure,) = read_failures(storage)
    assert (failure.run_id, failure.stage) == (RUN.run_id, "evaluate")
    assert failure.error.count("lower its learning rate") == len(LOOKS.networks)
    assert len(view.of(RunFailed)) == 1
    assert not view.of(LookTaken)
    made = {event.evaluation_id for event in view.of(TrainingDone)}
    assert made == {WHOLE.content_id}, "nothing is evaluated in full that was not looked at"
    # Another command tries again, and keeps what was made.
    run_in_process(plan(LOOKING, WHOLE, runs=(RUN,)), storage, device="cpu", view=view)
    assert {event.run for event in view.of(RunFinished)} == {RUN}
    assert len([each for each in view.of(TrainingDone) if each.evaluation_id == WHOLE.content_id]) == (
        len(STEPS) * len(WHOLE.networks) * WHOLE.repeats
    )


def test_two_evaluations_that_look_alike_share_their_looks(storage, view):
    other = LOOKING.replace(metrics=("per_class_accuracy",))
    longer = LOOKING.replace(epochs=5)
    run_in_process(plan(LOOKING, longer, other), storage, device="cpu", view=view)
    assert len(view.of(LookTaken)) == len(STEPS) * len(LOOKS.networks)
    assert {row["evaluation_id"] for row in read_results(storage).to_pylist()} == {
        each.content_id for each in (LOOKING, longer, other)
    }


def test_looks_are_counted_and_are_in_the_estimate(looked):
    storage, view = looked
    counted = SweepProgress(plan())
    of_looks, of_run = len(STEPS) * len(LOOKS.networks), 2 * len(WHOLE.networks) * WHOLE.repeats
    assert counted.trainings_total == of_looks + of_run + len(WHOLE.networks) * WHOLE.repeats
    for event in view.events:
        if isinstance(event, LookTaken):
            counted.add(event)
    assert counted.trainings_done == of_looks
    assert evaluate_flops(RUN, WHOLE) * 2 / 3 < evaluate_flops(RUN, LOOKING) < evaluate_flops(RUN, WHOLE)
    write_plan(plan(), storage)
    assert read_status(storage).sweep_progress.trainings_done == counted.trainings_total


def test_the_plan_and_the_report_say_what_is_evaluated(looked):
    storage, _ = looked
    said = [part for part in plan_tables(plan(), set()) if isinstance(part, str)]
    assert any("Looks: trainings of 2 epochs on every kept set" in sentence for sentence in said)
    assert "Looks: none, for no run keeps more than one set (snapshots)." in plan_tables(plan(runs=(RANDOM,)), set())
    page = storage.read_bytes(write_report(storage)).decode()
    assert "Step chosen by short looks on held-out training images" in page
    assert "<dt>Kept sets</dt><dd>the last, and the one that short looks" in page


def test_a_field_of_looks_is_set_where_there_are_looks():
    sweep = override_sweep(plan(WHOLE, LOOKING).sweep, ["evaluation.looks.epochs=7"])
    assert sweep.evaluations == (WHOLE, LOOKING.replace(looks=Looks(epochs=7)))
    with pytest.raises(UserError, match=r"Unknown key 'evaluation\.looks\.epochs'"):
        override_sweep(plan(WHOLE).sweep, ["evaluation.looks.epochs=7"])


def test_looks_of_a_run_under_way_are_in_its_status(storage, view):
    def stop(event):
        if isinstance(event, LookTaken) and len(view.of(LookTaken)) == 4:
            raise KeyboardInterrupt

    view.on_event = stop
    write_plan(plan(runs=(RUN,)), storage)
    with pytest.raises(KeyboardInterrupt):
        run_in_process(plan(runs=(RUN,)), storage, device="cpu", view=view)
    (status,) = read_status(storage).runs
    assert status.trained == 4
