"""benchmarks/growth.py: exponents, the page and its pictures at sizes that measure nothing, memory against trials."""

import importlib
import math
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def growth(monkeypatch):
    """The benchmark, which measures in this process."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("growth")
    monkeypatch.setattr(module, "fresh", lambda threads, task, *arguments, imported: task(*arguments))
    return module


def called(growth, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["growth.py", *map(str, arguments)])
    return growth.main()


def test_exponents_are_those_of_the_upper_half(growth):
    sizes = [1, 2, 5, 10, 20, 50]
    assert growth.exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    # What is the same at every size bends a curve at its lower end.
    assert growth.exponent(sizes, [9 if size < 10 else size**2 for size in sizes]) == pytest.approx(2)
    assert growth.exponent([1, 2], [5, 10]) == pytest.approx(1)
    assert math.isnan(growth.exponent(sizes, [0] * 6))


def test_what_grows_too_fast_is_marked(growth):
    line = growth.Taken(1.0, 1.0, 1.0)
    axis = growth.AXES[0]
    series = {size: growth.Taken(size**1.5, size**1.1, size) for size in axis.values}
    flat = {each.title: dict.fromkeys(each.pieces, dict.fromkeys(each.values, line)) for each in growth.AXES}
    flat[axis.title]["DC"] = series
    rows = growth.exponents_table(flat).splitlines()
    assert rows[2] == "| images per class | DC | **1.50** | 1.10 | 1.00 | 1 |"
    assert len(rows) == 2 + sum(len(each.pieces) for each in growth.AXES)
    assert all("**" not in row for row in rows[3:])


def test_trials_are_a_line(growth):
    memory = importlib.import_module("growth_trials").Memory
    part = growth.trials_part([memory(2, 1000.0, 400.0), memory(4, 1800.0, 400.0), memory(6, 2600.0, 400.0)])
    assert "A trial more takes 400 MiB" in part
    assert growth.draw_trials([memory(2, 1000.0, 400.0), memory(4, 1800.0, 400.0)]).axes


def test_a_small_page(growth, monkeypatch, capsys, tmp_path):
    assert called(growth, monkeypatch, "--small", "--output", tmp_path) == 0
    page = (tmp_path / "growth.md").read_text()
    assert page.strip() == capsys.readouterr().out.strip()
    for piece in growth.PIECES:
        assert len(re.findall(rf"^\| {re.escape(piece)} \|", page, re.MULTILINE)) == (3 if "MTT" in piece else 2)
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    assert not (tmp_path / "growth_trials.png").exists()
    # Bytes are counted and not timed. Graphs of twice the student's steps save twice as much, at least about.
    (exact,) = re.findall(r"^\| steps of the student \(N\) \| MTT \(exact\) \|.*$", page, re.MULTILINE)
    saved = float(exact.split("|")[5].strip(" *"))
    assert 0.7 < saved < 1.3


def test_a_folder_that_is_not_there_is_told(growth, monkeypatch, capsys, tmp_path):
    assert called(growth, monkeypatch, "--output", tmp_path / "nowhere") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
