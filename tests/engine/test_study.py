"""What a search evaluates, in which order, and what is left of that when its driver is killed."""

import itertools
import json
import statistics
import time

import pytest
from optuna.storages.journal import JournalFileSymlinkLock

from glad_ray.errors import UserError
from glad_ray.progress.events import DrawRefused, DrawsEnded, TrialFailed, TrialSeen, TrialsFound
from glad_ray.progress.faults import LOST, Fault
from glad_ray.results import read_refused_draws, read_trials
from glad_ray.spec import (
    Choice,
    FloatRange,
    Grid,
    Halving,
    Hyperband,
    IntRange,
    Layers,
    Median,
    Never,
)
from glad_ray.spec.search_space import propose
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.engine.studies import BASE, RATE, RUNGS, SEARCH, accuracy, evaluations_of, finish, keep, opened, rungs


def test_every_trial_is_evaluated_cheaply_and_the_best_go_on(storage):
    study = opened(SEARCH, storage)
    stops = finish(study)
    assert [stop.step for stop in stops if stop.trial == stops[0].trial] == [1, 3, 9, 9]
    assert len(rungs(stops, 0)) > len(rungs(stops, 1)) > len(rungs(stops, 2)) > 0
    evaluations = [rungs(stops, rung)[0].evaluation for rung in (0, 2, None)]
    assert [len(evaluation.networks) for evaluation in evaluations] == [1, 2, 2]
    assert {network.name for network in evaluations[-1].networks} == {"vgg11", "vit"}, "not the one that distils"
    values = {stop.trial: accuracy(stop) for stop in rungs(stops, 2)}
    best = sorted(values, key=values.__getitem__, reverse=True)[:3]
    in_full = [stop.trial for stop in rungs(stops, None)]
    assert in_full[: len(best)] == best
    rows = {row.number: row for row in study.rows()}
    controls = [number for number in in_full if rows[number].control]
    assert [rows[number].state for number in controls] == ["stopped"] * 2
    assert study.winner.number == max(in_full, key=lambda number: rows[number].full_accuracy)


def test_the_table_has_every_trial(storage):
    study = opened(SEARCH, storage)
    finish(study)
    study.write()
    rows = read_trials(storage)
    numbers = [row.number for row in rows]
    assert len(numbers) == 12
    assert numbers == sorted(numbers)
    assert {row.state for row in rows} == {"complete", "stopped"}
    assert all(len(row.rung_accuracies) == 3 and row.values for row in rows if row.state == "complete")
    assert all(row.parameters["space"] == row.run.space for row in rows)
    assert all(row.seconds == len(row.rung_accuracies) + (len(row.rung_accuracies) == 3) for row in rows), (
        "a second a network"
    )
    assert all(row.full_seconds == 2 * bool(row.full) for row in rows)


@pytest.mark.parametrize("every", [1, *(pytest.param(every, marks=pytest.mark.full) for every in (2, 5))])
@pytest.mark.parametrize("told", [True, False])
def test_whoever_is_killed_goes_on_as_if_nothing_had_been(storage, tmp_path, every, told):
    """`told`: killed after a rung evaluation was told to the study, or before."""
    undisturbed = opened(SEARCH, Storage.open(tmp_path / "other"))
    expected = finish(undisturbed)
    study, seen = opened(SEARCH, storage), []
    while (stop := study.next()) is not None:
        seen.append(stop)
        keep(storage, stop)
        killed = len(seen) % every == 0
        if told or not killed:
            study.seen(stop, evaluations_of(stop))
        if killed:
            study = opened(SEARCH, storage)
    assert seen == expected, "nothing is evaluated twice, and the sampler draws what it would have drawn"
    assert [row.parameters for row in study.rows()] == [row.parameters for row in undisturbed.rows()]
    assert study.winner.number == undisturbed.winner.number


def test_a_killed_process_leaves_half_a_line_in_the_journal(storage):
    study = opened(SEARCH, storage)
    study.seen(stop := study.next(), evaluations_of(stop))
    journal = storage.local_path(Storage.SEARCH_STUDY)
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:-7])
    again = opened(SEARCH, storage)
    assert journal.read_bytes().startswith(whole)
    finish(again)
    assert [json.loads(line) for line in journal.read_bytes().splitlines()]


def test_a_killed_process_leaves_its_lock_on_the_journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage.open("storage")
    opened(SEARCH, storage)
    journal = storage.local_path(Storage.SEARCH_STUDY)
    lock = JournalFileSymlinkLock(str(journal.resolve()))
    assert lock.acquire()

    def waits(seconds):
        raise AssertionError("nobody else holds it")

    monkeypatch.setattr(time, "sleep", waits)
    finish(opened(SEARCH, storage))


@pytest.mark.full
def test_killed_between_any_two_lines_of_its_journal(storage):
    """Between the draws of a trial too: what follows is what would have."""
    search = SEARCH.replace(trials=6, controls=0)
    study = opened(search, storage)
    finish(study)
    expected = study.rows()
    assert len(study.optuna_study.trials) > len(expected) == 6, "some draw what was drawn before"
    journal = storage.local_path(Storage.SEARCH_STUDY)
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines)):
        journal.write_bytes(b"".join(lines[:number]))
        resumed = opened(search, storage)
        finish(resumed)
        assert resumed.rows() == expected, lines[number]


def test_killed_while_several_are_under_way(storage):
    study = opened(SEARCH, storage)
    first = [study.next() for _ in range(4)]
    again = opened(SEARCH, storage)
    assert [again.next() for _ in range(4)] == first
    assert again.next().trial > max(stop.trial for stop in first)


def test_a_looks_that_was_ended_goes_on_with_the_next_command(storage):
    study = opened(SEARCH, storage)
    stop = study.next()
    study.given_back(stop)
    assert not study.finished
    assert opened(SEARCH, storage).next() == stop


def test_failures_are_no_trials_lost(storage):
    told = []
    study = opened(SEARCH.replace(controls=0), storage, told=told)
    for number in itertools.count():
        if (stop := study.next()) is None:
            break
        if number % 3 == 1:
            study.failed(stop, Fault("the loss is not finite", ""))
        else:
            study.seen(stop, evaluations_of(stop))
    assert study.finished
    rows = study.rows()
    assert len(rows) == 12
    failed = {row.number for row in rows if row.state == "failed"}
    assert failed == {event.trial for event in told if isinstance(event, TrialFailed)} - {
        event.trial for event in told if isinstance(event, TrialSeen) and event.outcome == "complete"
    }
    assert {row.error for row in rows if row.number in failed} == {"the loss is not finite"}


def test_a_fault_of_the_machine_is_not_held_against_what_was_drawn(storage):
    study = opened(SEARCH, storage)
    own, lost = study.next(), study.next()
    study.failed(own, Fault("the loss is not finite", ""))
    study.failed(lost, Fault(LOST, "", "infrastructure"))
    states = [trial.state.name for trial in study.optuna_study.trials[:2]]
    assert states == ["PRUNED", "FAIL"], "samplers learn from what was pruned"


def test_no_run_is_tried_twice_and_a_space_may_be_smaller_than_the_search(storage):
    search = SEARCH.replace(vary={"space": Choice(values=("w+", "f2"))}, trials=8, controls=0, finalists=9)
    study = opened(search, storage)
    stops = finish(study)
    assert len({(stop.run.run_id, stop.step, stop.rung) for stop in stops}) == len(stops)
    assert {row.run.space for row in study.rows()} == {"w+", "f2"}
    assert len(study.rows()) == 2
    assert study.winner is not None


def test_where_a_sampler_draws_the_same_again_chance_takes_its_place(storage):
    vary = {"space": Choice(values=("w+", "pixel", *tiny.GENERATOR.spaces[1:]))}
    study = opened(SEARCH.replace(vary=vary, trials=6, sampler="cma-es"), storage)
    finish(study)
    assert len({row.run.run_id for row in study.rows()}) == len(study.rows()) == 6


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cma-es", "random"])
def test_samplers_draw_what_is_in_range(storage, sampler):
    vary = {
        "space": Layers(),
        RATE: FloatRange(low=0.1, high=10, log=True),
        "algorithm.learning_rates.w": FloatRange(low=0.1, high=10),
        "images_per_class": IntRange(low=1, high=50, log=True),
    }
    search = SEARCH.replace(vary=vary, sampler=sampler, trials=16, stopping="never", finalists=1)
    runs = {stop.trial: stop.run for stop in finish(opened(search, storage))}
    assert len({run.run_id for run in runs.values()}) > 12
    assert len({run.space for run in runs.values()}) > 2
    assert all(1 <= run.images_per_class <= 50 for run in runs.values())
    assert all(0.1 <= run.algorithm.learning_rates.w <= 10 for run in runs.values())


def test_a_grid_is_gone_through_whole_and_once(storage):
    search = SEARCH.replace(sampler=Grid(points=2), stopping="never", trials=100, finalists=1)
    study = opened(search, storage)
    finish(study)
    rows = study.rows()
    spaces = ("pixel", *tiny.GENERATOR.spaces)
    drawn = [(row.run.space, row.parameters.get(RATE)) for row in rows]
    assert len(drawn) == len(set(drawn)) == len(rows)
    with_f = [space for space in spaces if space.startswith("f")]
    ends = {(space, rate) for space in with_f for rate in (0.1, 10)}
    assert set(drawn) == ends | {("pixel", None), ("w+", None)}


@pytest.mark.parametrize("stopping", [Halving(keep=2), Hyperband(keep=2), Median(startup=2), Never()])
def test_ways_to_stop(storage, stopping):
    study = opened(SEARCH.replace(stopping=stopping, trials=20, sampler="random"), storage)
    finish(study)
    counts = [sum(len(row.rung_accuracies) > rung for row in study.rows()) for rung in range(3)]
    assert counts[0] == 20
    if stopping == Never():
        assert counts == [20, 20, 20]
        return
    assert counts[2] <= counts[1] < 20
    stopped = [row.rung_accuracies[0] for row in study.rows() if len(row.rung_accuracies) == 1]
    went_on = [row.rung_accuracies[0] for row in study.rows() if len(row.rung_accuracies) > 1]
    assert statistics.fmean(stopped) < statistics.fmean(went_on)


def test_several_objectives_have_a_front_and_stop_nobody(storage):
    search = SEARCH.replace(objectives=("accuracy", "bytes"), finalists=20, trials=16)
    study = opened(search, storage)
    stops = finish(study)
    assert {stop.rung for stop in stops} == {0, None}
    assert {stop.step for stop in stops} == {9}
    rows = study.rows()
    assert all(row.values == (pytest.approx(row.rung_accuracies[0]), row.run.set_bytes) for row in rows)
    front = {
        row.run.run_id
        for row in rows
        if not any(
            other.values[0] >= row.values[0] and other.values[1] <= row.values[1] and other.values != row.values
            for other in rows
        )
    }
    assert {stop.run.run_id for stop in rungs(stops, None)} == front


def test_the_sampler_finds_the_best_layer(storage):
    study = opened(SEARCH.replace(trials=40), storage)
    finish(study)
    assert study.winner.run.space == tiny.GENERATOR.spaces[-1]
    late = [row.run.space for row in study.rows()[20:]]
    assert late.count(tiny.GENERATOR.spaces[-1]) > 2 * 20 / (1 + len(tiny.GENERATOR.spaces))


def test_several_drivers_join_one_study(tmp_path):
    where = str(tmp_path / "study.journal")
    one, other = (Storage.open(tmp_path / name) for name in ("one", "other"))
    studies = [opened(SEARCH, one, where), opened(SEARCH, other, where)]
    waiting = [study.next() for study in studies]
    assert [stop.trial for stop in waiting] == [0, 1]
    assert opened(SEARCH, one, where).next() == waiting[0], "each goes on with its own"
    studies[0].seen(waiting[0], evaluations_of(waiting[0]))
    while (stop := studies[0].next()) is not None:
        studies[0].seen(stop, evaluations_of(stop))
    assert studies[0].finished
    assert studies[0].others == 1
    assert studies[0].winner is None, "the one that ends last evaluates in full"
    studies[1].seen(waiting[1], evaluations_of(waiting[1]))
    finish(studies[1])
    assert studies[1].winner is not None
    assert len(studies[1].rows()) == 12
    assert studies[1].rows() != studies[0].rows()


def test_trials_of_a_driver_that_is_gone_are_given_up(tmp_path):
    where = str(tmp_path / "study.journal")
    opened(SEARCH, Storage.open(tmp_path / "gone"), where).next()
    study = opened(SEARCH, Storage.open(tmp_path / "one"), where, alone=True)
    finish(study)
    assert study.winner is not None
    assert [row.error for row in study.rows() if row.error] == ["lost with its driver"]


@pytest.fixture
def impossible(monkeypatch):
    """Has runs of some spaces be impossible, as combinations are that no check has met; returns them, to be changed."""
    spaces = set()

    def proposed(search, ask):
        run = propose(search, ask)
        if run.space in spaces:
            raise UserError(f"Space {run.space} goes with nothing that was drawn")
        return run

    monkeypatch.setattr("glad_ray.engine.search.study_trials.propose", proposed)
    return spaces


def test_a_draw_of_which_no_run_can_be_made_is_told_and_drawn_again(impossible, storage):
    impossible |= {"f1", "f2", "w+"}
    told = []
    study = opened(SEARCH, storage, told=told)
    finish(study)
    study.write()
    rows, refused = study.rows(), study.refused()
    assert len(rows) == study.asked == SEARCH.trials
    assert not {row.run.space for row in rows} & impossible
    assert refused
    assert {draw.parameters["space"] for draw in refused} <= impossible
    assert all("goes with nothing" in draw.error for draw in refused)
    assert not {draw.number for draw in refused} & {row.number for row in rows}
    assert [event.draw for event in told if isinstance(event, DrawRefused)] == refused
    assert not [event for event in told if isinstance(event, DrawsEnded)]
    assert read_refused_draws(storage) == tuple(refused)
    # The same again: all of it is known, and nothing is drawn.
    again, told = opened(SEARCH, storage, told=(later := [])), later
    assert again.refused() == refused
    assert finish(again) == []
    found = next(event for event in told if isinstance(event, TrialsFound))
    assert (found.ended, found.most, found.refused) == (SEARCH.trials, SEARCH.trials, len(refused))


def test_a_search_of_which_no_run_can_be_made_ends(impossible, storage):
    impossible |= {"pixel", *tiny.GENERATOR.spaces}
    told = []
    study = opened(SEARCH, storage, told=told)
    assert finish(study) == []
    assert (study.rows(), study.winner) == ([], None)
    assert [event for event in told if isinstance(event, DrawsEnded)] == [DrawsEnded(begun=0, asked=SEARCH.trials)]
    draws = len(study.refused())
    assert draws >= 50
    # It has been tried often enough, whoever asks again.
    again = opened(SEARCH, storage)
    assert finish(again) == []
    assert len(again.refused()) == draws


def test_fewer_trials_than_were_asked_for_are_told(storage):
    told = []
    study = opened(SEARCH.replace(vary={"space": Choice(values=("f1", "f2"))}), storage, told=told)
    finish(study)
    assert len(study.rows()) == 2
    assert study.refused() == []
    assert [event for event in told if isinstance(event, DrawsEnded)] == [DrawsEnded(begun=2, asked=SEARCH.trials)]


def test_a_study_goes_on_with_another_interval_between_checkpoints(storage):
    opened(SEARCH, storage)
    opened(SEARCH.replace(base=BASE.replace(checkpoint_every=7)), storage)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"vary": {"space": Layers(pixel=False)}}, "vary"),
        ({"base": BASE.replace(seed=7)}, "base"),
        ({"rungs": RUNGS[1:], "objectives": ("accuracy", "bytes")}, "objectives, rungs"),
    ],
)
def test_a_study_made_for_another_search_is_one_sentence(storage, changes, what):
    opened(SEARCH, storage)
    with pytest.raises(UserError) as caught:
        opened(SEARCH.replace(**changes), storage)
    assert f"made for another search ({what} differ" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_trials_another_sampler_and_more_finalists_go_on(storage):
    finish(first := opened(SEARCH, storage))
    before = [row.number for row in first.rows()]
    more = opened(SEARCH.replace(trials=15, sampler="random", finalists=5), storage)
    stops = finish(more)
    assert len(rungs(stops, 0)) == 3
    assert [row.number for row in more.rows()][:12] == before
    assert len(more.rows()) == 15
