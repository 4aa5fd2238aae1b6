"""benchmarks/looks.py: a small sweep evaluated both ways, and storages that have not both."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from glad_ray import load
from glad_ray.cli import main

SWEEPS = Path(__file__).parent.parent / "sweeps"


@pytest.fixture
def looks(monkeypatch):
    monkeypatch.syspath_prepend(str(SWEEPS.parent / "benchmarks"))
    return importlib.import_module("looks")


def _sweep(storage, file, *only):
    asked = ["sweep", str(SWEEPS / file), "--small", *(f"--only={each}" for each in only)]
    assert main([*asked, "--in-process", "--device", "cpu", "--storage", str(storage)]) == 0


def test_both_ways_are_compared_run_by_run(looks, tmp_path):
    _sweep(tmp_path, "fewer_trainings.py", "algorithm=dm")
    compared = looks.compare(load(tmp_path))
    assert {each.run.space for each in compared} == {"pixel", "f1", "f3"}
    assert all(each.looked.seconds > 0 for each in compared)
    printed = looks.text(compared)
    share = sum(each.looked.seconds for each in compared) / sum(each.in_full.seconds for each in compared)
    assert f"Looks took {100 * share:.0f} % of the seconds" in printed
    assert "repeat of all sets" not in printed  # --small trains each network once

    levels = {"pixel": (50.0, 51.0), "f1": (40.0, 43.0), "f3": (45.0, 42.0)}
    twice = [
        each._replace(
            in_full=each.in_full._replace(
                accuracy=levels[each.run.space][0], by_repeat=levels[each.run.space], spread=2
            ),
            looked=each.looked._replace(accuracy=levels[each.run.space][1], spread=1),
        )
        for each in compared
    ]
    said = looks.text(twice).splitlines()[-1]
    assert "Rank correlation of the runs: 0.50; of the first repeat of all sets and the second: 0.50" in said
    assert re.search(r"differ by 2\.3 points on average; in 1 of 3 runs", said)


def test_a_sweep_with_one_evaluation_is_refused(looks, tmp_path, monkeypatch, capsys):
    _sweep(tmp_path, "quickstart.py", "algorithm=random")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["looks", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        looks.main()
    assert ended.value.code == 2
    assert "run sweeps/fewer_trainings.py" in capsys.readouterr().err
