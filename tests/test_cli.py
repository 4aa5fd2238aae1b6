"""The command line: help, and bad input answered by one sentence and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.spec.search_space import first_points, representatives
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.written.sweep_file import load_search

ROOT = Path(__file__).parent.parent
OFFICIAL = str(Path(__file__).parent / "golden" / "stylegan_xl" / "official_super.pkl")
QUICKSTART = str(ROOT / "sweeps" / "quickstart.py")


def _run(capsys, *words):
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "command", ["plan", "sweep", "distill", "evaluate", "experts", "export", "serve", "report", "generator"]
)
def test_help(capsys, command):
    code, out, _ = _run(capsys, command, "--help")
    assert code == 0
    assert f"glad-ray {command}" in out


@pytest.mark.parametrize("command", ["distill", "experts"])
def test_help_names_a_users_own_datasets(capsys, command):
    _, out, _ = _run(capsys, command, "--help")
    assert "folder:PATH" in out
    assert "hf:PATH" in out


def test_console_script_and_module_agree():
    texts = [
        subprocess.run([*start, "--version"], capture_output=True, text=True, check=True).stdout
        for start in (["glad-ray"], [sys.executable, "-m", "glad_ray"])
        for start in ([str(Path(sys.executable).parent / start[0])] if start[0] == "glad-ray" else start,)
    ]
    assert texts[0] == texts[1]
    assert "0.1.0" in texts[0]


FILES = sorted((ROOT / "sweeps").rglob("*.py"))
SEARCHES = [path for path in FILES if path.stem.startswith("search")]


@pytest.mark.parametrize("small", [[], ["--small"]])
@pytest.mark.parametrize("path", [path for path in FILES if path not in SEARCHES], ids=lambda path: path.stem)
def test_every_shipped_sweep_plans(capsys, tmp_path, monkeypatch, path, small):
    monkeypatch.chdir(tmp_path)
    code, out, err = _run(capsys, "plan", str(path), *small)
    assert (code, err) == (0, "")
    assert "Nothing was started" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_every_shipped_search_is_sound(path):
    made = load_search(path)
    check_search(made)
    assert representatives(made)
    assert first_points(made)


@pytest.mark.parametrize(("command", "file"), [("plan", "search_layers"), ("search", "quickstart")])
def test_a_file_of_the_other_kind(capsys, tmp_path, monkeypatch, command, file):
    monkeypatch.chdir(tmp_path)
    code, _, err = _run(capsys, command, str(ROOT / "sweeps" / f"{file}.py"))
    assert code == 2
    assert err.count("\n") == 1
    assert "give it to glad-ray" in err


def test_a_search_file_is_a_script_that_searches(tmp_path):
    words = [sys.executable, str(ROOT / "sweeps/search_layers.py"), "--set", "trails=1"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Did you mean 'trials'" in ended.stderr


def test_plan_tells_runs_prerequisites_layers_and_cost(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, out, _ = _run(capsys, "plan", QUICKSTART)
    assert "10 runs of quickstart" in out
    assert "prerequisites" in out
    assert "legal spaces are pixel, w+, f0" in out
    assert "10 of 10 runs to do" in out


def _sweep_file(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return str(path)


HEAD = "from glad_ray import *\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def sweep(:\n", "mine.py:1 does not run: SyntaxError"),
        (HEAD + "def sweep():\n    return 1 / 0\n", "mine.py:3 does not run: ZeroDivisionError"),
        (HEAD, "has no function sweep()"),
        (HEAD + "def sweep(): return 3\n", "it must return glad_ray.Sweep"),
        (
            HEAD + "def sweep(): return Sweep(name='a', runs=[Run(algorithm='dx')])\n",
            "mine.py:2: Unknown algorithm 'dx'",
        ),
        (
            HEAD + "def sweep(): return Sweep(name='a', runs=[Run(algorithm=DM(), dataset='x')])\n",
            "Unknown dataset 'x'",
        ),
        (HEAD + "import nothing_like_it\n", "ModuleNotFoundError"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "sweep"])
def test_mistakes_in_a_sweep_file(capsys, tmp_path, command, text, sentence):
    code, _, err = _run(capsys, command, _sweep_file(tmp_path, text))
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "nowhere.py"], "There is no sweep file nowhere.py"),
        (["sweep", QUICKSTART, "--set", "algorithm.iteration=3"], "Did you mean 'algorithm.iterations'?"),
        (["sweep", QUICKSTART, "--set", "space=f99"], "f99"),
        (["sweep", QUICKSTART, "--set", "dataset=mnits"], "Did you mean 'mnist'?"),
        (["sweep", QUICKSTART, "--set", "backbone=resnet19"], "Did you mean 'resnet18'?"),
        (["sweep", QUICKSTART, "--storage", "/dev/null/x"], "cannot be used"),
        (["sweep", QUICKSTART, "--in-process", "--device", "cuda:9"], "no GPU"),
        (["distill", "--device", "cuda:1"], "no GPU"),
        (["plan", QUICKSTART, "--set", "precision=fp16"], "Run.precision 'fp16'. Known: float32, tf32"),
        (["plan", QUICKSTART, "--set", "evaluation.precision=half"], "Known: float32, tf32"),
        (["plan", QUICKSTART, "--set", "resources.deterministic=maybe"], "is 'maybe': use true or false"),
        (["distill", "--algorithm", "dcc"], "Did you mean 'dc'?"),
        (["distill", "--space", "f40"], "no layer f40: it has pixel, w+, f0"),
        (["distill", "--dataset", "mnist"], "MNIST was not found (looked in"),
        (["evaluate", "nothing.safetensors"], "cannot be read"),
        (["evaluate", QUICKSTART], "is not a whole synthetic set"),
        (["evaluate", "nothing.safetensors", "--dataset", "mnist"], "--dataset go with a .pt"),
        (["evaluate", "images_best.pt", "--dataset", "mnist", "--temperature", "2"], "goes with --label-kind logits"),
        (["evaluate", "mine.pt", "--dataset", "mnist"], "add --labels"),
        (["experts", "--dataset", "mnits", "--storage", "x"], "Unknown dataset 'mnits'"),
        (["report", "nowhere"], "There is no folder"),
        (["distill", "--space", "f2", "--generator", "nothing.pkl"], "nothing.pkl is not there"),
        (["distill", "--space", "f2", "--generator", QUICKSTART], "is no pickle of networks"),
        (["distill", "--generator", OFFICIAL], "Pixel space takes no generator"),
        (["distill", "--space", "f9", "--generator", OFFICIAL], "no layer f9: it has pixel, w+, f0, f1, f2, f3, f4"),
        (["distill", "--space", "f2", "--generator", OFFICIAL], "makes 3-channel images"),
        (["distill", "--space", "f2", "--set", "generator.precision=float16", "--device", "cpu"], "is for GPUs"),
        (["distill", "--space", "f2", "--set", "generator.precision=int8"], "Known: float32, tf32, bfloat16, float16"),
        (["generator", "inspect", "nothing.pkl"], "cannot be read"),
        (["generator", "inspect", QUICKSTART], "is no pickle of networks"),
        (["generator", "convert", "nothing.json"], "converted already"),
        (["swep"], "swep"),
        (["sweep"], "SWEEP"),
    ],
)
def test_bad_input(capsys, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = _run(capsys, *words)
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]
