"""`glad-ray retry`: the runs that failed, and no others; the plan that the storage keeps stays whole."""

import pytest

from glad_ray.cli import main
from glad_ray.engine.in_process import run_in_process
from glad_ray.plan import read_plan
from glad_ray.results import read_failures, read_results
from tests.engine import tiny

PLAN = tiny.plan("random", "dm", "failing", evaluations=(tiny.EVALUATION,))
WORDS = ("--in-process", "--device", "cpu")


@pytest.fixture
def failed(storage, view, monkeypatch):
    """A sweep of which one run fails by itself, and another one did for a reason that is gone."""
    with monkeypatch.context() as patch:

        def broken(*given):
            raise ValueError("no such thing")

        patch.setattr("glad_ray.run_evaluation.evaluate_set", broken)
        run_in_process(PLAN, storage, device="cpu", view=view)
    return storage


def test_what_failed_is_run_again(failed, capsys):
    assert len(read_failures(failed)) == 3
    assert main(["retry", str(failed), *WORDS]) == 1
    said = capsys.readouterr()
    assert said.out.count("(evaluate)") + said.out.count("evaluate") >= 2
    assert "no such thing" in said.out
    assert "1 of 3 runs failed" in said.err
    (left,) = read_failures(failed)
    assert left.run_id == tiny.RUNS["failing"].run_id
    assert set(read_results(failed)["run_id"].to_pylist()) == {tiny.RUNS[name].run_id for name in ("random", "dm")}

    before = read_results(failed)
    assert main(["retry", str(failed), *WORDS]) == 1
    said = capsys.readouterr()
    assert "1 of 1 runs failed" in said.err
    assert "random" not in said.out
    assert read_results(failed).equals(before)
    assert read_plan(failed).runs == PLAN.runs


def test_where_nothing_failed(storage, view, capsys):
    plan = tiny.plan("random", evaluations=(tiny.EVALUATION,))
    run_in_process(plan, storage, device="cpu", view=view)
    assert main(["retry", str(storage), *WORDS]) == 2
    assert capsys.readouterr().err.startswith(f"glad-ray: No run of the sweep in {storage} failed: ")


def test_where_there_is_no_sweep(tmp_path, capsys):
    assert main(["retry", str(tmp_path)]) == 2
    assert "plan.json is missing" in capsys.readouterr().err
