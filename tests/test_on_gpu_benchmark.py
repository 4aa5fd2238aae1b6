"""benchmarks/on_gpu.py: all checks at sizes that measure nothing, what becomes of pieces that fail, and its counts."""

import contextlib
import importlib
import json
import signal
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
CPU = torch.device("cpu")
NAMES = ["parity", "TF32", "memory", "waits", "speed", "graphs", "together", "launches", "determinism"]


@pytest.fixture
def part(monkeypatch):
    """A module of the benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"gpu_checks.{name}")


@pytest.fixture
def command(monkeypatch, part):
    """The benchmark, called with arguments; returns its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["on_gpu.py", *map(str, arguments)])
        return importlib.import_module("on_gpu").main()

    return run


def check_of(part, *pieces):
    check = part("check")
    made = [check.Piece(f"piece {number}", measure) for number, measure in enumerate(pieces)]
    return check.Check(name="some", claim="Something.", share=1, pieces=lambda setting: iter(made))


def outcome_of(part, *pieces):
    check = part("check")
    return check.run_check(check_of(part, *pieces), check.Setting(CPU), 600.0, lambda line: None)


def measured(part, passed=None, **numbers):
    return lambda: part("check").Measured(numbers, passed)


def fail():
    raise RuntimeError("no such kernel")


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_every_check_runs(command, capsys, tmp_path):
    assert command("--device", "cpu", "--quick", "--minutes", "60", "--output", tmp_path) == 0
    record = json.loads((tmp_path / "on_gpu.json").read_text())
    assert [check["name"] for check in record["checks"]] == NAMES
    assert all(check["passed"] and check["rows"] for check in record["checks"])
    assert not [row for check in record["checks"] for row in check["rows"] if row["error"]]
    parity, precision = (check["rows"] for check in record["checks"][:2])
    assert all(row["numbers"]["float64"] == 0 < row["numbers"]["CPU's float32"] < 0.1 for row in parity)
    assert all(0 < row["numbers"]["float32"] < 1e-3 for row in precision[1:])
    assert capsys.readouterr().out.endswith((tmp_path / "on_gpu.md").read_text() + "\n")


def test_a_piece_that_fails_leaves_the_others(part):
    outcome = outcome_of(part, measured(part, True, errors=1e-9), fail, measured(part, seconds=2.0))
    assert [row.verdict for row in outcome.rows] == ["PASS", "ERROR RuntimeError: no such kernel", ""]
    assert "test_on_gpu_benchmark" in outcome.rows[1].error, "the traceback is kept"
    assert not outcome.passed


@pytest.mark.parametrize(("passed", "expected"), [(True, True), (None, True), (False, False)])
def test_a_limit_decides(passed, expected, part):
    assert outcome_of(part, measured(part, passed, error=1.0)).passed is expected


def test_a_check_that_cannot_begin(part):
    check = part("check")

    def none(setting):
        raise RuntimeError("no data")

    broken = check.Check(name="broken", claim="", share=1, pieces=none)
    outcome = check.run_check(broken, check.Setting(CPU), 60.0, lambda line: None)
    assert "no data" in outcome.unfinished
    assert not outcome.passed


def test_a_check_ends_when_its_time_is_over(part):
    def over():
        with contextlib.suppress(Exception):
            # As the timer does; what goes on after every error is ended too.
            signal.raise_signal(signal.SIGALRM)

    before = signal.getsignal(signal.SIGALRM)
    outcome = outcome_of(part, measured(part, True, found=1), over, fail)
    assert [row.name for row in outcome.rows] == ["piece 0"], "what was measured before is kept"
    assert "were over" in outcome.unfinished
    assert not outcome.passed
    assert signal.getsignal(signal.SIGALRM) is before


def test_time_that_is_over_ends_what_computes(part):
    check = part("check")

    def endless():
        with check.at_most(0.01):
            while True:
                pass

    with pytest.raises(check.OutOfTime):
        endless()


def test_the_timer_of_others_goes_on(part):
    others = signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        outcome_of(part, measured(part, True))
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)


def test_the_exit_code_tells_of_a_failure(part, command, monkeypatch, tmp_path, capsys):
    checks = (check_of(part, fail), check_of(part, measured(part, True, found=1)))
    monkeypatch.setattr(importlib.import_module("on_gpu"), "CHECKS", checks)
    assert command("--device", "cpu", "--output", tmp_path, "--commit", "abc") == 1
    record = json.loads((tmp_path / "on_gpu.json").read_text())
    assert [check["passed"] for check in record["checks"]] == [False, True]
    assert record["commit"] == "abc"
    assert "no such kernel" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(command, capsys):
    assert command() == 2
    assert "no GPU" in capsys.readouterr().err


class Computed:
    """What gives the next of some outcomes whenever it is computed."""

    def __init__(self, *values):
        self.values = list(values)

    def outcome(self, device, dtype):
        return {"gradient": torch.tensor([1.0, self.values.pop(0)], dtype=torch.float64)}


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ((0, 0, 0, 0), True),  # float64 and float32 of the CPU, then of the device
        ((0, 0, 1e-6, 0), False),
        ((0, 0, 0, 1e-3), False),
        ((0, 1e-3, 0, 5e-3), True),  # where the CPU errs too
        ((0, 0, 0, float("nan")), False),
        ((0, 0, float("inf"), 0), False),
    ],
)
def test_parity_has_limits(values, passed, part):
    assert part("parity").compare(Computed(*values), CPU).passed is passed


def test_repeated_runs_that_differ(part):
    determinism = part("determinism")
    assert determinism.repeated(Computed(1, 1, 1), CPU) == {"the same bits": "yes", "relative difference": 0.0}
    assert determinism.repeated(Computed(1, 1, 1.5), CPU)["the same bits"] == "no"


def test_waits_are_counted_by_the_line_that_waits(part):
    waits, found = part("waits"), part("waits").Waits()
    message = "called a synchronizing CUDA operation (Triggered internally at x.cpp:1.)"
    package = Path(sys.modules["glad_ray"].__file__).parent

    def in_glad_ray(text):
        code = compile(f"\n\nnote(found, {text!r})", str(package / "algorithms" / "dm.py"), "exec")
        exec(code, {"note": waits.note, "found": found})

    in_glad_ray(message)
    in_glad_ray(message)
    in_glad_ray("something else is deprecated")
    waits.note(found, message)
    assert found == {"algorithms/dm.py:3": 2, "elsewhere": 1}


def test_waits_beside_their_budget(part):
    waits, setting = part("waits"), part("check").Setting(torch.device("cuda", 0))
    found = waits.Waits({"a.py:1": 4, "b.py:2": 2})
    within = waits.measured(setting, found, 2, 3)
    assert within.passed
    assert within.numbers["waits"] == 3
    assert within.numbers["lines"] == "a.py:1 x2, b.py:2 x1"
    assert not waits.measured(setting, found, 2, 2).passed
