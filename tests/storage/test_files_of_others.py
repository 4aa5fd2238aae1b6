"""A storage writes over no file that something else has written, and takes a folder of its own for what it is."""

import json

import pytest

from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.progress.driver import Driver
from glad_ray.storage import Storage

FOREIGN = {
    "plan.json": '{"steps": ["buy milk"]}',
    "driver.json": '{"name": "printer"}',
    "replicas.json": "[]",
    "report/index.html": "<title>Annual report</title>",
    "report/table.csv": "a,b",
    "report/compare.html": "<title>Two offers</title>",
    "report/compare.csv": "a,b",
    "search/owner": "me",
    "search/search.json": "[1]",
    "search/study.journal": "Dear diary",
}
OURS = {
    "plan.json": json.dumps({"sweep": {}, "runs": []}),
    "driver.json": Driver().model_dump_json(),
    "search/owner": "0" * 32,
    "search/search.json": '{"name": "s", "vary": {}}',
    "report/index.html": "<footer>Made by glad_ray from the files on storage alone.</footer>",
}


def write(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", FOREIGN)
def test_a_file_of_others_is_not_written_over(path, tmp_path):
    write(tmp_path, {path: FOREIGN[path]})
    before = contents(tmp_path)
    with pytest.raises(UserError, match=f"has a file {path} that glad-ray did not write"):
        Storage.open(tmp_path)
    assert contents(tmp_path) == before


def test_what_is_not_written_over_is_not_in_the_way(tmp_path):
    files = {
        "notes.md": "x",
        "data/plan.json": "{}",
        "runs/2024/log.txt": "x",
        "report/thesis.tex": "x",
        "search/x": "x",
    }
    write(tmp_path, files)
    before = contents(tmp_path)
    Storage.open(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", OURS)
def test_a_storage_that_was_left_early_is_opened_again(path, tmp_path):
    write(tmp_path, {path: OURS[path], "report/table.csv": "a,b"})
    Storage.open(tmp_path)


@pytest.mark.parametrize(
    "named",
    [
        "runs/0123456789ab/run.json",
        "experts/0123456789ab/expert-0000.arrow",
        "results/0123456789ab-0123456789ab.parquet",
    ],
)
def test_what_is_damaged_in_a_storage_is_written_again(named, tmp_path):
    write(tmp_path, {named: "", "plan.json": '{"sweep": {"runs', "driver.json": ""})
    Storage.open(tmp_path)


@pytest.mark.parametrize("command", ["sweep", "distill", "experts", "report"])
def test_no_command_writes_into_a_folder_of_others(command, tmp_path, capsys):
    folder = tmp_path / "site"
    write(folder, {"report/index.html": FOREIGN["report/index.html"], "plan.json": FOREIGN["plan.json"]})
    before = contents(folder)
    words = {
        "sweep": ["sweep", "sweeps/quickstart.py", "--in-process", "--storage", str(folder)],
        "distill": ["distill", "--set", "algorithm.iterations=1", "--storage", str(folder)],
        "experts": ["experts", "--dataset", "fashion-mnist-sample", "--in-process", "--storage", str(folder)],
        "report": ["report", str(folder)],
    }
    assert main(words[command]) == 2
    assert "glad-ray did not write" in capsys.readouterr().err
    assert contents(folder) == before
