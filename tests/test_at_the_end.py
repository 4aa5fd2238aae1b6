"""`--on-end`, a command that is run once, with what happened; and `--stop-after-failures`, where a sweep gives up."""

import signal
import subprocess
import sys

import pytest

from glad_ray.cli import main
from glad_ray.progress.driver import driving
from glad_ray.storage import Storage
from tests.faults.processes import until

SWEEP = """
from glad_ray import DM, Evaluation, LearningRates, Network, RandomReal, Run, Sweep

RATES = LearningRates(pixels={rate}, f=1, w=1)

def sweep():
    base = Run(algorithm=RandomReal(), resolution=28, backbone=Network(width=4))
    matching = DM(iterations=2, real_batch_size=8, learning_rates=RATES)
    runs = [base.replace(algorithm=matching, seed=seed) for seed in range(3)]
    evaluation = Evaluation(networks=[Network(width=4)], repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[base, *runs])
"""
TELL = 'echo "$GLAD_RAY_OUTCOME|$GLAD_RAY_MESSAGE|$GLAD_RAY_STORAGE" >> told'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


WORDS = ("sweep", "mine.py", "--storage", "results", "--in-process", "--device", "cpu", "--on-end", TELL)


def sweep(tmp_path, *words, rate=1.0):
    (tmp_path / "mine.py").write_text(SWEEP.format(rate=rate))
    return main([*WORDS, *words])


def told(tmp_path):
    return (tmp_path / "told").read_text().splitlines()


def test_a_sweep_that_ends(tmp_path):
    assert sweep(tmp_path) == 0
    assert told(tmp_path) == [f"finished||{tmp_path}/results"]


def test_one_with_failures(tmp_path):
    assert sweep(tmp_path, rate=1e30) == 1
    assert told(tmp_path) == [f"failed|3 of 4 runs failed; the report says why.|{tmp_path}/results"]


def test_one_that_gives_up(tmp_path, capsys):
    assert sweep(tmp_path, "--stop-after-failures", "2", rate=1e30) == 3
    (line,) = told(tmp_path)
    assert line.startswith("budget|The 2 failures that this command may have (resources.failures) are spent")
    assert "the same command goes on" in capsys.readouterr().err


def test_one_that_is_refused(tmp_path):
    with driving(Storage.open(tmp_path / "results")):
        assert sweep(tmp_path) == 2
    (line,) = told(tmp_path)
    assert line.startswith("refused|")
    assert "is driven by process" in line


def test_what_cannot_begin_is_told_by_nobody(tmp_path):
    assert sweep(tmp_path, "--set", "nothing=1") == 2
    assert not (tmp_path / "told").exists()


def test_a_command_that_fails_changes_nothing(tmp_path, capsys):
    assert sweep(tmp_path, "--on-end", "exit 7") == 0
    assert capsys.readouterr().err == "The command of --on-end ended with exit code 7: exit 7\n"


def test_one_that_is_interrupted(tmp_path):
    (tmp_path / "mine.py").write_text(SWEEP.format(rate=1.0).replace("iterations=2", "iterations=100000"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", "glad_ray", *WORDS], **quiet)
    until(lambda: list(tmp_path.glob("results/runs/*/checkpoints/*")))
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    (line,) = told(tmp_path)
    assert line.startswith("interrupted|")
