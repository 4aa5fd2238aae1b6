"""A sweep of many runs that loses its machine at random moments."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.long_fault
def test_all_processes_killed_twice(monkeypatch, tmp_path, seen):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    many_runs, tiny_runs = (importlib.import_module(name) for name in ("many_runs", "tiny_runs"))
    sweep = tiny_runs.sweep(20)
    outcome = many_runs.run_and_kill(sweep, kills=2, seed=0, where=str(tmp_path))
    assert [attempt.killed for attempt in outcome.attempts] == [True, True, False]
    assert sum(attempt.finished for attempt in outcome.attempts) == len(sweep.runs)
    assert outcome.faults(sweep) == []
    assert outcome.faults(tiny_runs.sweep(21)) == ["20 files of rows for 21 runs", "not 21 rows of each kind"]
    seen(
        "SIGKILL of every process, Ray's too, twice in 20 runs",
        "nothing",
        "a file of rows a run, no row twice; only trainings under way made again",
    )
