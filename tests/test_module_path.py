"""Files beside a sweep that have the names of libraries: the libraries are imported, and a hidden file is named."""

import subprocess
import sys
from pathlib import Path

import pytest
from ray.job_config import JobConfig

from glad_ray.cli import main
from glad_ray.engine.cluster.ray_job import job_config
from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.spec.written.sweep_file import load_sweep

LIBRARIES = (
    "ray",
    "torch",
    "numpy",
    "pydantic",
    "pyarrow",
    "optuna",
    "typer",
    "rich",
    "queue",
    "random",
    "json",
    "ast",
)
SWEEP = """
import glad_ray
import numpy as np
import random
import mine
from glad_ray import Evaluation, Network, RandomReal, Run, Sweep

def sweep():
    run = Run(algorithm=RandomReal(), resolution=32, backbone=Network(width=4), held_out=4)
    networks = [Network(width=4), Network(name="mine:net")]
    evaluation = Evaluation(networks=networks, repeats=1, epochs=1, test_images=20)
    return Sweep(name="small", evaluations=evaluation, runs=[run.replace(seed=seed) for seed in np.arange(mine.RUNS)])

if __name__ == "__main__":
    glad_ray.main()
"""
MINE = """
from torch import nn

RUNS = 1

def net(num_classes, in_chans):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_chans, num_classes))
"""
COMMAND = ["-c", "import sys; from glad_ray.cli import main; sys.exit(main())"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, with a colon in its name, of a sweep file and of files that no library may be replaced by."""
    # Other tests import modules of these names from other folders, which stay on the path.
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not Path(each, "mine.py").exists()])
    made = tmp_path / "sweeps:mine"
    made.mkdir()
    for name in LIBRARIES:
        (made / f"{name}.py").write_text(f"raise RuntimeError('{name}.py was imported')\n")
    (made / "mine.py").write_text(MINE)
    (made / "small.py").write_text(SWEEP)
    return made


def run(folder, *words):
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["small.py"], id="script", marks=pytest.mark.full),
        pytest.param(["-m", "glad_ray", "sweep", "small.py"], id="module", marks=pytest.mark.full),
        pytest.param(["-P", *COMMAND, "sweep", "small.py"], id="command"),
    ],
)
def test_libraries_are_imported_and_not_the_files_of_their_names(folder, words):
    ended = run(folder, *words, "--only", "seed=5")
    assert (ended.returncode, ended.stderr) == (2, "glad-ray: --only leaves no run: seed is 0 in the runs of small.\n")


def test_a_script_may_take_its_sweep_from_a_module_beside_it(folder):
    (folder / "small.py").rename(folder / "other.py")
    (folder / "small.py").write_text("import glad_ray\nfrom other import sweep\nglad_ray.main()\n")
    ended = run(folder, "small.py")
    assert ended.returncode == 2
    assert "put the call of glad_ray.main() under" in ended.stderr


@pytest.mark.parametrize(
    "name", ["torch", *(pytest.param(name, marks=pytest.mark.full) for name in ("queue", "pydantic"))]
)
def test_a_sweep_file_may_have_the_name_of_a_library(folder, name):
    (folder / f"{name}.py").write_text(SWEEP)
    ended = run(folder, f"{name}.py", "--only", "seed=5")
    assert (ended.returncode, ended.stderr) == (2, "glad-ray: --only leaves no run: seed is 0 in the runs of small.\n")


def test_a_script_that_has_imported_such_a_file_already_is_refused(folder):
    (folder / "queue.py").write_text("")
    (folder / "small.py").write_text(f"import queue\n{SWEEP}")
    ended = run(folder, "small.py")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"glad-ray: {folder / 'queue.py'} has the name of the library queue")
    assert ended.stderr.count("\n") == 1


def test_a_script_that_needs_such_a_file_is_told_its_name(folder):
    (folder / "queue.py").write_text("mine = 1\n")
    (folder / "small.py").write_text(SWEEP.replace("import mine", "import mine\nfrom queue import mine as other"))
    ended = run(folder, "small.py")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"{folder / 'queue.py'} is not imported, because a library has its name" in ended.stderr


def test_another_script_keeps_its_folder_first(tmp_path):
    (tmp_path / "sndhdr.py").write_text("mine = 1\n")
    (tmp_path / "other.py").write_text("import glad_ray\nfrom sndhdr import mine\nprint(mine)\n")
    assert run(tmp_path, "other.py").stdout == "1\n"


@pytest.mark.parametrize("line", ["from queue import mine", "import queue; queue.mine()"])
def test_a_sweep_file_that_needs_such_a_file_is_told_its_name(folder, capsys, line):
    (folder / "small.py").write_text(f"{line}\n")
    assert main(["plan", str(folder / "small.py")]) == 2
    told = capsys.readouterr().err
    assert "small.py:1 does not run" in told
    assert f"{folder / 'queue.py'} is not imported, because a library has its name" in told


def test_a_module_by_name_that_a_library_hides_is_named(folder):
    load_sweep(folder / "small.py")
    with pytest.raises(UserError, match=r"queue\.py is not imported, because a library has its name"):
        import_callable("queue:net", "Network", "a classifier")


def test_modules_beside_a_sweep_come_after_the_libraries(folder):
    load_sweep(folder / "small.py")
    assert sys.path[-1] == str(folder)
    imported = [module for module in sys.modules.values() if str(folder) in str(getattr(module, "__file__", ""))]
    assert [module.__name__ for module in imported if module.__name__ in LIBRARIES] == []
    assert sys.modules["mine"] in imported


def test_only_the_job_of_a_sweep_file_has_workers_without_the_current_folder(folder):
    assert type(job_config()) is JobConfig
    load_sweep(folder / "small.py")
    assert type(job_config()) is not JobConfig


@pytest.mark.cluster
@pytest.mark.full
def test_workers_import_the_libraries_too(folder, tmp_path):
    ended = run(folder, "small.py", "--storage", str(tmp_path / "results"), "--address", "local")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 of 1 runs finished" in ended.stdout
    assert (Path(tmp_path) / "results/report/index.html").exists()
