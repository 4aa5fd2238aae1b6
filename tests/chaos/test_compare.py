"""The bookkeeping finds what it is there to find."""

import pytest

from glad_ray.engine.in_process import run_in_process
from tests.chaos.compare import differences, rows
from tests.engine import tiny


@pytest.fixture
def quiet(storage, view):
    run_in_process(tiny.plan("random", evaluations=(tiny.EVALUATION,)), storage, device="cpu", view=view)
    return rows(storage)


def test_differences(quiet):
    first, *others = quiet
    assert differences(reversed(quiet), quiet) == []
    (lost,) = differences(others, quiet)
    assert lost.startswith("lost")
    assert first["run_id"] in lost
    (doubled,) = differences([*quiet, first], quiet)
    assert doubled.startswith("2 times")
    (strange,) = differences([*quiet, first | {"run_id": "x"}], quiet)
    assert strange.startswith("not in the quiet table")
    (off,) = differences([first | {"accuracy": first["accuracy"] + 1e-4}, *others], quiet)
    assert off.startswith("accuracy is")
    assert differences([first | {"accuracy": first["accuracy"] + 1e-6}, *others], quiet) == []
    (other,) = differences([first | {"step": 99}, *others], quiet)
    assert other.startswith("step is 99")
