"""The benchmarks run, at sizes that measure nothing, and what they compare is equal where it should be."""

import csv
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glad_ray.cli import main
from glad_ray.results import read_trials
from glad_ray.storage import Storage

pytestmark = [pytest.mark.cluster, pytest.mark.full]

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark by name, with the arguments it is called with."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "keep_freed_memory", lambda: None, raising=False)
        return module

    return load


def test_gradients_of_trajectory_matching(benchmark, monkeypatch, capsys):
    module = benchmark("mtt_gradient", "--steps", "1", "3", "--width", "4", "--repeats", "1", "--augmentation", "flip")
    found = {}

    def in_this_process(setting, task, *arguments):
        outcome = task(setting, *arguments)
        if task is module.comparisons:
            found[arguments[0]] = outcome
        return outcome

    monkeypatch.setattr(module, "fresh", in_this_process)
    module.main()
    assert "unroll" in capsys.readouterr().out
    for steps, form in ((1, "tesla"), (1, "exact"), (3, "exact")):
        compared = found[steps][form, "float64"]
        assert max(compared.images, compared.step_size) < 1e-12
    assert found[3]["tesla", "float64"].images > 1e-3


def test_augmentation(benchmark, monkeypatch, capsys):
    module = benchmark("augmentation", "--images", "20", "--resolution", "16", "--repeats", "1")
    differences = []
    largest = module.largest_difference

    def recording(one, other):
        differences.append(largest(one, other))
        return differences[-1]

    monkeypatch.setattr(module, "largest_difference", recording)
    module.main()
    assert "rotate" in capsys.readouterr().out
    assert len(differences) == 10
    assert max(differences) < 1e-4


def test_experts(benchmark, monkeypatch, capsys):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    arguments = ("--width", "4", "--experts", "3", "--epochs", "3", "--rounds", "1", "--busy-ms", "1")
    module = benchmark("experts", *arguments, "--held-out", "390", "--together", "1", "2")
    taken, segments_of = [], module.waits_of

    def recording(way, asked, busy_seconds):
        taken.append([way.take(question) for question in asked])
        return segments_of(way, asked, busy_seconds)

    monkeypatch.setattr(module, "waits_of", recording)
    monkeypatch.setattr(module, "fresh", lambda threads, task, *arguments: task(*arguments))
    module.main()
    assert "experts an hour" in capsys.readouterr().out
    _, mapped, needed, ahead, older, kept = taken[:6]
    for theirs in (needed, ahead):
        assert all(torch.equal(*ends) for pair in zip(mapped, theirs, strict=True) for ends in zip(*pair, strict=True))
    # The older code takes another expert than is asked for, each of them once.
    assert older[0][0].shape == kept[0][0].shape == mapped[0][0].shape
    assert len({float(start.sum()) for start, _ in older}) == 3


def test_speed_of_stylegan(benchmark, monkeypatch, capsys):
    module = benchmark("stylegan_speed", "--points", "f14/32", "--width", "4")
    monkeypatch.setattr(module, "fresh", lambda threads, task, *arguments, keep_freed: task(*arguments))
    module.main()
    assert "f14/32" in capsys.readouterr().out


def test_memory_of_stylegan(benchmark, monkeypatch, capsys, tmp_path):
    arguments = ("--images", "1", "3", "--resolution", "16", "--width", "8", "--space", "f9", "--output", str(tmp_path))
    module = benchmark("stylegan_memory", *arguments)
    monkeypatch.setattr(module, "fresh", lambda threads, task, *arguments: task(*arguments))
    module.main()
    assert "chunks" in capsys.readouterr().out
    assert (tmp_path / "stylegan_memory.png").stat().st_size > 1000
    one, three = csv.DictReader((tmp_path / "stylegan_memory.csv").read_text().splitlines())
    assert int(three["foretold_bytes"]) == 3 * int(one["foretold_bytes"])


def test_node_memory():
    arguments = ["--resolution", "28", "--width", "4", "--experts", "1", "--epochs", "2", "--trials", "2"]
    command = [sys.executable, str(BENCHMARKS / "node_memory.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (row,) = re.findall(r"│ 2 +│ (\d+) MiB +│ +(\d+) MiB", ended.stdout)
    images = 5000 * 28 * 28 / 2**20
    assert images - 1 <= float(row[0]) < 2 * images, "one copy, and what Ray keeps of its own"


def test_a_search_against_the_grid(benchmark, monkeypatch, capsys, tmp_path):
    file = tmp_path / "few.py"
    file.write_text("from tests.engine import tiny\n\n\ndef search():\n    return tiny.DM_SEARCH\n")
    module = benchmark("search_against_grid", str(file), "--points", "2", "--folder", str(tmp_path))

    def in_this_process(search_file, storage, *assignments):
        words = [word for assignment in assignments for word in ("--set", assignment)]
        assert main(["search", str(search_file), "--storage", str(storage), "--in-process", *words]) == 0
        return 1.0

    monkeypatch.setattr(module, "run", in_this_process)
    module.main()
    rows = dict(line.strip().rsplit("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line.strip())
    trials = {name: read_trials(Storage.open(tmp_path / name, create=False)) for name in ("search", "grid")}
    assert len(trials["grid"]) == 3, "pixels at two rates, and the other space"
    assert all(trial.full for trial in trials["grid"])
    # Every run of the grid is distilled to its end; of the search, those that reached the last rung and the controls.
    steps = {"grid": 3 * 6, "search": sum(6 if len(t.rung_accuracies) == 2 or t.full else 2 for t in trials["search"])}
    (said,) = [value for title, value in rows.items() if title.startswith("distillation steps")]
    assert int(said) == steps["grid"]
    (said,) = [title for title in rows if title.startswith("distillation steps")]
    assert int(said.split()[-1]) == steps["search"]


def test_starting(benchmark, capsys):
    benchmark("starting", "--repeats", "1", "--only", "algorithm=random").main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "│ " in line and "checkout" not in line]
    *_, distilled, finished, whole, workers, _ = row.split("│")
    assert 0 < float(distilled) < float(finished) < float(whole)
    assert int(workers) >= 2


def test_views_of_the_page(benchmark, capsys):
    module = benchmark("serve_views", "--runs", "4")
    module.main()
    printed = capsys.readouterr().out
    assert all(title in printed for title in module.VIEWS)
