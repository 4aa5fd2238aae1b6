"""A sweep of many runs that loses its machine at random moments."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def many_runs(monkeypatch):
    """The benchmark of which this is the small form."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("many_runs")


@pytest.mark.full
def test_all_processes_killed_twice(many_runs, monkeypatch, tmp_path, seen):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    sweep, of_more = many_runs.tiny_runs.sweep(20), many_runs.tiny_runs.sweep(21)
    outcome = many_runs.run_and_kill(sweep, kills=2, seed=0, where=str(tmp_path))
    assert [attempt.killed for attempt in outcome.attempts] == [True, True, False]
    assert sum(attempt.finished for attempt in outcome.attempts) == len(sweep.runs)
    assert outcome.faults(sweep) == []
    assert outcome.faults(of_more) == ["20 files of rows for 21 runs", "not 21 rows of each kind"]
    seen(
        "SIGKILL of every process, Ray's too, twice in 20 runs",
        "nothing",
        "a file of rows a run, no row twice; only trainings under way made again",
    )


def test_growth_of_a_driver_is_that_after_its_first_runs(many_runs):
    def attempt(runs):
        samples = [many_runs.Sample(0.5 * n, 7 + n, 10_000 + (99 * n if n < 50 else 3 * n)) for n in range(runs + 1)]
        return many_runs.Attempt(seconds=60.0, killed=False, finished=runs, samples=tuple(samples))

    assert attempt(100).kib_per_run == pytest.approx(3.0)
    assert attempt(60).kib_per_run is None
    assert attempt(100).seconds_per_run == pytest.approx(0.5)
    assert attempt(0).seconds_per_run is None
