"""An algorithm of the user's own: the one of the documentation from end to end, and what is said of wrong ones."""

import re
import sys
from pathlib import Path

import pytest

from glad_ray.engine.in_process import run_in_process
from glad_ray.engine.search.run_search import run_search
from glad_ray.errors import UserError
from glad_ray.plan import make_plan
from glad_ray.plan.cost import estimate
from glad_ray.progress.events import RunProgressed
from glad_ray.report import write_report
from glad_ray.results import read_failures, read_results, read_trials
from glad_ray.spec import (
    DM,
    Choice,
    CustomAlgorithm,
    Evaluation,
    Experts,
    FloatRange,
    Network,
    Run,
    Rung,
    Search,
    Sweep,
    grid,
)
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.written.overrides import override_sweep
from glad_ray.storage import Storage
from tests.engine import tiny
from tests.recorded import Recorded

PAGE = Path(__file__).parents[1] / "docs" / "algorithms.md"
MOMENTS = CustomAlgorithm(name="moments:MomentMatching", options={"spread": 0.5}, iterations=6, real_batch_size=8)
BASE = tiny.BASE.replace(algorithm=MOMENTS, images_per_class=2, snapshots=1)
EVALUATION = Evaluation(networks=(Network(width=4),), repeats=1, epochs=2, test_images=100)
SWEEP = Sweep(
    name="own",
    runs=(
        *grid(BASE, where=[{"space": "pixel"}, {"space": "f2", "generator": tiny.GENERATOR}]),
        BASE.replace(algorithm=DM(iterations=4, real_batch_size=8)),
    ),
    evaluations=EVALUATION,
)


@pytest.fixture(scope="module", autouse=True)
def moments(tmp_path_factory):
    """The file of the documentation, where Python finds it."""
    (code,) = re.findall(r"```python file=moments.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code.count("\n") <= 40
    folder = tmp_path_factory.mktemp("user")
    (folder / "moments.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop("moments", None)


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises."""


def test_a_sweep_over_two_spaces_is_stopped_gone_on_with_and_reported(storage, tmp_path):
    whole = Storage.open(tmp_path / "whole")
    run_in_process(make_plan(SWEEP), whole, device="cpu", view=Recorded())
    stopped = set()

    def interrupt(event):
        if isinstance(event, RunProgressed) and event.progress.step == 3 and event.run.run_id not in stopped:
            stopped.add(event.run.run_id)
            raise Interrupted

    for _ in SWEEP.runs:
        with pytest.raises(Interrupted):
            run_in_process(make_plan(SWEEP), storage, device="cpu", view=Recorded(interrupt))
    run_in_process(make_plan(SWEEP), storage, device="cpu", view=Recorded())

    rows, expected = (read_results(each).drop_columns(tiny.OF_THE_MACHINE).to_pylist() for each in (storage, whole))
    assert rows == expected
    assert {(row["algorithm"], row["space"]) for row in rows} == {
        (MOMENTS.name, "pixel"),
        (MOMENTS.name, "f2"),
        ("dm", "pixel"),
    }
    page = storage.read_bytes(write_report(storage)).decode()
    assert "MomentMatching f2" in page
    assert "moments:MomentMatching" in page
    assert "MomentMatching distillation" in page
    assert "DM pixel" in page
    assert 'class="mark custom"' in page


def test_a_search_over_an_option(storage):
    search = Search(
        name="own",
        base=BASE,
        vary={"algorithm.options.spread": FloatRange(low=0.1, high=10, log=True), "space": Choice(values=("pixel",))},
        trials=3,
        rungs=(Rung(share=1, epochs=1),),
        evaluation=EVALUATION,
        finalists=1,
        seeds=1,
    )
    result = run_search(search, storage, where=None, alone=False, address=None, device="cpu", view=Recorded())
    trials = read_trials(storage)
    spreads = [trial.run.algorithm.options["spread"] for trial in trials]
    assert len(set(spreads)) == len(trials) == 3
    assert all(0.1 <= spread <= 10 for spread in spreads)
    assert result.winner.run in [trial.run for trial in trials]
    assert "spread" in storage.read_bytes(write_report(storage)).decode()


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ({"algorithm.options.speed": FloatRange(low=0.1, high=1)}, "algorithm.options.spread"),
        ({"algorithm.iterations": FloatRange(low=1.5, high=2)}, "IntRange"),
    ],
)
def test_a_search_over_what_is_not_there(vary, told):
    with pytest.raises(UserError, match=told):
        check_search(Search(name="own", base=BASE, vary=vary, trials=1, evaluation=EVALUATION))


def test_an_option_is_set_by_the_command():
    changed = override_sweep(SWEEP, ["algorithm.options.spread=2"])
    assert [run.algorithm.options.get("spread") for run in changed.runs if run.algorithm.name == MOMENTS.name] == [2, 2]
    assert changed.runs[2] == SWEEP.runs[2]


def test_what_it_costs_can_be_said_and_decides_no_id():
    cheap = BASE.replace(algorithm=MOMENTS.replace(passes=1))
    assert cheap.run_id == BASE.run_id
    assert estimate(cheap, ()).distill_flops < estimate(BASE, ()).distill_flops / 10
    assert BASE.replace(algorithm=MOMENTS.replace(options={"spread": 1.0})).run_id != BASE.run_id
    assert Run.model_validate_json(cheap.model_dump_json()) == cheap


def test_it_is_given_experts(storage):
    own = CustomAlgorithm(
        name="tests.own_algorithms:Following",
        iterations=2,
        real_batch_size=None,
        experts=Experts(count=1, epochs=1, batch_size=256),
    )
    sweep = Sweep(name="following", runs=(tiny.BASE.replace(algorithm=own),), evaluations=EVALUATION)
    run_in_process(make_plan(sweep), storage, device="cpu", view=Recorded())
    assert read_results(storage).num_rows


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere:Mine", "nowhere cannot be imported"),
        ("tests.own_algorithms:Drift", "Drifting"),
        ("tests.own_algorithms:torch", "of type module"),
    ],
)
def test_a_class_that_is_not_there_is_told_before_anything_is_written(name, told, storage):
    refused(CustomAlgorithm(name=name), told, storage)


def test_options_that_it_does_not_take_are_told_before_anything_is_written(storage):
    refused(MOMENTS.replace(options={"spred": 2}), "cannot be called with tools and its options .*spred", storage)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"options": {"spread": [1]}}, "CustomAlgorithm.options sets spread to .*booleans, finite numbers and text"),
        ({"options": {"tools": 1}}, "cannot set 'tools'"),
        ({"options": {"a b": 1}}, "cannot set 'a b'"),
        ({"name": "moments"}, "'moments' names no code: it should match pattern package.module:callable"),
        ({"iterations": 0}, "iterations"),
        ({"passes": 0}, "passes"),
    ],
)
def test_settings_that_no_algorithm_has(fields, told):
    with pytest.raises(UserError, match=told):
        MOMENTS.replace(**fields)


def refused(algorithm, told, storage):
    sweep = Sweep(name="own", runs=(BASE.replace(algorithm=algorithm),), evaluations=EVALUATION)
    with pytest.raises(UserError, match=told):
        run_in_process(make_plan(sweep), storage, device="cpu", view=Recorded())
    assert not storage.list("runs")


ODD = {
    ("Odd", "nothing"): "returns NoneType: return two tensors",
    ("Odd", "loss of many"): "a loss of shape",
    ("Odd", "gradient of one"): "a gradient of shape",
    ("Odd", "raises"): "returns function",
    ("NoMatch", None): "has no match",
}


@pytest.mark.parametrize(("kind", "what"), ODD)
def test_a_class_that_is_no_algorithm_fails_its_run_alone(kind, what, storage):
    options = {} if what is None else {"what": what}
    own = CustomAlgorithm(name=f"tests.own_algorithms:{kind}", options=options, iterations=2)
    runs = (tiny.BASE.replace(algorithm=own), tiny.RUNS["random"])
    run_in_process(
        make_plan(Sweep(name="odd", runs=runs, evaluations=EVALUATION)), storage, device="cpu", view=Recorded()
    )
    (failure,) = read_failures(storage)
    assert failure.run_id == runs[0].run_id
    assert ODD[kind, what] in failure.error
    assert read_results(storage).num_rows


def test_a_state_that_is_not_taken_back_is_told(storage):
    own = CustomAlgorithm(name="tests.own_algorithms:Forgetful", iterations=4, real_batch_size=4)
    run = tiny.BASE.replace(algorithm=own)
    plan = make_plan(Sweep(name="forgetful", runs=(run,), evaluations=EVALUATION))

    def interrupt(event):
        if isinstance(event, RunProgressed) and event.progress.step == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_in_process(plan, storage, device="cpu", view=Recorded(interrupt))
    run_in_process(plan, storage, device="cpu", view=Recorded())
    (failure,) = read_failures(storage)
    assert "no load_state" in failure.error
