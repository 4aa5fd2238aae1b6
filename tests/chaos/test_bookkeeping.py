"""The bookkeeping finds what it is there to find."""

import pytest

from glad_ray.engine.in_process import run_in_process
from tests.chaos.command import judged
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


@pytest.mark.parametrize(
    ("code", "told", "complaint", "wrong"),
    [
        (0, "finished", "", None),
        (1, "", "glad-ray: The head is gone.\n", None),
        (1, "", "The head is gone.\n", "not one sentence"),
        (1, "", "glad-ray: one\nglad-ray: two\n", "not one sentence"),
        (1, "", "Traceback (most recent call last):\n", "a traceback"),
        (0, "Traceback (most recent call last):\n", "", "a traceback"),
        (-11, "", "", "signal 11"),
    ],
)
def test_how_a_command_ended(code, told, complaint, wrong):
    found = judged(code, told, complaint)
    assert found == wrong if wrong is None else found.startswith(wrong)
