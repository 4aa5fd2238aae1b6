"""`glad-ray search`: what it says, what it leaves, and how it refuses what makes no sense."""

import pytest

import glad_ray
from glad_ray.cli import main
from glad_ray.errors import UserError
from glad_ray.results import best_in_full, read_trials
from glad_ray.spec.search_space import propose
from glad_ray.storage import Storage
from tests.documents import read_document

FILE = """
from glad_ray import *
from tests.engine import tiny

def search():
    return tiny.SEARCH{}
"""
VARYING = ".replace(vary={{{}}})"


def written(folder, changes="", file=FILE):
    path = folder / "few.py"
    path.write_text(file.format(changes))
    return str(path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search file, and a storage where it was searched with some fields changed."""
    folder = tmp_path_factory.mktemp("searched")
    file, storage = written(folder), str(folder / "storage")
    words = [
        "search",
        file,
        "--storage",
        storage,
        "--in-process",
        "--set",
        "trials=4",
        "--set",
        "algorithm.iterations=4",
    ]
    assert main([*words, "--set", "evaluation.epochs=2", "--set", "seeds=1"]) == 0
    return file, storage


def test_fields_of_the_search_and_of_its_run_can_be_set(searched):
    trials = read_trials(Storage.open(searched[1], create=False))
    assert len(trials) == 4
    assert any(trial.full for trial in trials)


def test_best_is_python_to_paste(searched, capsys):
    file, storage = searched
    assert main(["search", file, "--storage", storage, "--best"]) == 0
    code = capsys.readouterr().out
    run = eval(code, vars(glad_ray))
    best = best_in_full(read_trials(Storage.open(storage, create=False)))
    assert run.run_id == best.run.run_id
    assert main(["search", file, "--storage", storage, "--best", "--json"]) == 0
    document = read_document(capsys.readouterr().out, "best-run")
    assert glad_ray.Run.model_validate(document["run"]).run_id == document["run_id"] == run.run_id
    assert document["code"] == code.rstrip("\n")
    assert document["full_accuracy"] == best.full_accuracy


def test_status(searched, capsys):
    _, storage = searched
    assert main(["status", storage]) == 0
    said = capsys.readouterr().out
    assert "search tiny: 4 of 4 trials begun" in said
    assert "No driver is running." in said
    assert "1/1 runs" in said, "the winner with its fresh seed"
    assert main(["status", storage, "--json"]) == 0
    document = read_document(capsys.readouterr().out, "search-status")
    trials = read_trials(Storage.open(storage, create=False))
    assert [each["looks"] for each in document["trials"]] == [list(trial.rung_accuracies) for trial in trials]
    assert sum(document["counts"].values()) == document["wanted"] == 4
    assert document["winner"]["counts"] == {"finished": 1}


def test_report(searched, capsys):
    _, storage = searched
    kept = Storage.open(storage, create=False)
    for path in (kept.REPORT_SEARCH, kept.REPORT):
        kept.delete(path)
    assert main(["report", storage, "--json"]) == 0
    document = read_document(capsys.readouterr().out, "report")
    assert document["page"]
    assert document["search_page"]
    assert all(kept.exists(path) for path in (kept.REPORT_SEARCH, kept.REPORT, kept.REPORT_SEARCH_TRIALS))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (VARYING.format('"space": Choice(values=[])'), "A Choice has no values"),
        (VARYING.format('"algorithm.learning_rates.f": FloatRange(low=2, high=1)'), "The range from 2 to 1 is empty"),
        (
            VARYING.format('"algorithm.learning_rate": FloatRange(low=1, high=2)'),
            "Did you mean 'algorithm.learning_rates'",
        ),
        (VARYING.format('"space": Choice(values=["f2", "f77"])'), "The generator has no layer f77"),
        (VARYING.format('"dataset": Choice(values=["mnist", "cifar10"])'), "dataset cannot vary"),
        (VARYING.format('"space": Layers(pixels=False)'), "Unknown field of Layers 'pixels'"),
        ('.replace(sampler="bayes")', "Unknown sampler 'bayes'"),
        ('.replace(objectives=["accuracy", "watts"])', "'watts'"),
        (".replace(trials=0)", "Search.trials is 0"),
        ('.replace(first=[{"space": "f77"}])', "space='f77', which is out of its range"),
    ],
)
def test_searches_that_make_no_sense_are_one_sentence(tmp_path, capsys, changes, sentence):
    file = written(tmp_path, changes.replace("{{", "{").replace("}}", "}"))
    refused(capsys, ["search", file, "--storage", str(tmp_path / "storage"), "--in-process"], sentence)
    assert not (tmp_path / "storage").exists(), "nothing is begun"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "trails=3"], "Did you mean 'trials'"),
        (["--set", "vary=3"], "Search.vary is 3"),
        (["--best"], "There is no folder"),
        (["--study", "nosuch://host/x"], "The study at nosuch://host/x cannot be opened"),
        (["--device", "cuda"], "--device cuda goes with --in-process"),
    ],
)
def test_words_that_make_no_sense_are_one_sentence(tmp_path, capsys, words, sentence):
    words = ["search", written(tmp_path), "--storage", str(tmp_path / "storage"), *words]
    refused(capsys, words if "cuda" in words or "--best" in words else [*words, "--in-process"], sentence)


def test_a_study_made_for_another_space(searched, capsys):
    file, storage = searched
    words = ["search", file, "--storage", storage, "--in-process", "--set", "algorithm.iterations=5"]
    refused(capsys, words, "was made for another search (base, evaluation differ)")
    assert main(["search", file, "--storage", storage, "--best"]) == 0


def test_a_file_without_a_search(tmp_path, capsys):
    file = written(tmp_path, file="def find():\n    return 1\n")
    refused(capsys, ["search", file], "has no function search(): define one that returns glad_ray.Search(...)")


def refused(capsys, words, sentence):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said, said
    assert said.count("\n") == 1


def test_a_range_that_draws_what_no_run_has_is_refused_before_anything_is_written(tmp_path, capsys):
    file = written(tmp_path, VARYING.format('"images_per_class": FloatRange(low=1, high=3)'))
    assert main(["search", file, "--storage", str(tmp_path / "storage"), "--in-process"]) == 2
    assert "use IntRange(low=1, high=3)" in capsys.readouterr().err
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("cannot_be", ["dataset=cifar10", 'generator={"path": "no/such/file.safetensors"}'])
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, capsys, cannot_be):
    words = ["search", written(tmp_path), "--storage", str(tmp_path / "storage"), "--in-process", "--set", cannot_be]
    assert main(words) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]


def test_draws_of_which_no_run_can_be_made_are_told_everywhere(tmp_path, capsys, monkeypatch):
    def proposed(search, ask):
        run = propose(search, ask)
        if run.images_per_class > 1:
            raise UserError(f"No run has {run.images_per_class} images of a class")
        return run

    monkeypatch.setattr("glad_ray.engine.search.study_trials.propose", proposed)
    vary = '"images_per_class": IntRange(low=1, high=4)'
    file, storage = written(tmp_path, VARYING.format(vary)), str(tmp_path / "storage")
    few = ["--set", "trials=4", "--set", "algorithm.iterations=4", "--set", "evaluation.epochs=1", "--set", "seeds=1"]
    few += ["--set", "evaluation.repeats=1", "--set", "evaluation.test_images=10"]
    assert main(["search", file, "--storage", storage, "--in-process", *few]) == 1
    said = capsys.readouterr()
    assert "1 of 4 trials began: of" in said.err
    assert "No run has" in said.err
    assert "draws made no run" in said.out
    assert main(["status", storage]) == 0
    shown = capsys.readouterr().out
    assert "1 of 4 trials begun" in shown
    assert "draws made no run" in shown
    assert main(["status", storage, "--json"]) == 0
    document = read_document(capsys.readouterr().out, "search-status")
    assert sum(document["counts"].values()) == len(document["trials"]) == 1
    assert {draw["parameters"]["images_per_class"] for draw in document["refused"]} <= {2, 3, 4}
    kept = Storage.open(storage, create=False)
    page = kept.read_bytes(kept.REPORT_SEARCH).decode()
    assert "1 trial of 4 begun" in page
    assert "Draws without a run" in page
    assert "No run has 2 images of a class" in page
