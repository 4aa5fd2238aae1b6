"""`glad-ray init`: files that plan and search as they are, for any dataset, and never in place of others."""

import pytest

from glad_ray.cli import main
from glad_ray.plan import make_plan
from glad_ray.spec.searches.check import check_search
from glad_ray.spec.written.sweep_file import load_search, load_sweep
from tests.generator_training.trainings import write_folders


def datasets(tmp_path):
    mine = write_folders(tmp_path / "My Pictures", {"cat": (24, 4), "dog": (24, 4)}, side=48)
    odd = write_folders(tmp_path / "a \"b\" $c \\n 'd'", {"cat": (24, 4), "dog": (24, 4)}, side=48)
    return ["fashion-mnist-sample", "cifar10", mine, odd]


@pytest.mark.parametrize("number", range(4))
def test_its_files_are_sound(tmp_path, capsys, number):
    dataset = datasets(tmp_path)[number]
    assert main(["init", str(tmp_path / "new" / "folder"), "--dataset", dataset]) == 0
    written = tmp_path / "new" / "folder"
    assert f"glad-ray plan {written / 'sweep.py'}" in capsys.readouterr().out
    plan = make_plan(load_sweep(written / "sweep.py"))
    assert {run.dataset for run in plan.runs} == {dataset}
    assert {run.space for run in plan.runs} == {"pixel", "f1", "f3"}
    search = load_search(written / "search.py")
    check_search(search)
    assert search.base.held_out > 0
    assert "runs/" in (written / ".gitignore").read_text()


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "search.py").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err
        == f"glad-ray: {tmp_path}/search.py is there already: name another folder, or move it away.\n"
    )
    assert (tmp_path / "search.py").read_text() == "mine"
    assert not (tmp_path / "sweep.py").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--dataset", "nope"], "Unknown dataset 'nope'"), (["--dataset", "folder:nowhere"], "nowhere")],
)
def test_what_cannot_be_is_told(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "here", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_its_sweep_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["sweep", "sweep.py", "--small", "--in-process", "--device", "cpu"]) == 0
    assert "7 of 7 runs finished" in capsys.readouterr().out
