"""Commands with --json: one document of a known form on standard output, all else on standard error."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

import glad_ray
from glad_ray.cli import main
from glad_ray.cli.documents import Kind, print_document
from glad_ray.errors import GladRayError
from glad_ray.results import read_results
from glad_ray.spec import DM, Evaluation, LearningRates, Network, RandomReal, Run, Sweep
from glad_ray.storage import Storage
from tests.documents import SCHEMAS, read_document

ROOT = Path(__file__).parents[1]
QUICKSTART = str(ROOT / "sweeps" / "quickstart.py")
NETWORK = Network(width=4)
BASE = Run(algorithm=RandomReal(), resolution=28, backbone=NETWORK, held_out=4)
FAILING = BASE.replace(
    algorithm=DM(iterations=2, real_batch_size=4, learning_rates=LearningRates(pixels=1e30, f=1, w=1))
)
EVALUATION = Evaluation(
    networks=(NETWORK, Network(width=4, depth=1)), repeats=2, epochs=1, test_images=20, metrics=["per_class_accuracy"]
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The storage of a sweep of two runs, one of which failed."""
    where = tmp_path_factory.mktemp("documents") / "results"
    sweep = Sweep(name="small", runs=(BASE, FAILING), evaluations=EVALUATION)
    with pytest.raises(GladRayError, match="1 of 2 runs failed"):
        glad_ray.run(sweep, where, in_process=True, device="cpu")
    return Storage.open(where)


def printed(capsys, kind, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return read_document(capsys.readouterr().out, kind)


def test_plan(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = printed(capsys, "plan", "plan", QUICKSTART, "--small")
    assert (document["storage"], document["machines"], document["differences"]) == (None, None, None)
    assert document["left"]["runs"] == len(document["runs"]) == 10
    assert document["left"]["flops"] > sum(run["distill_flops"] + run["evaluate_flops"] for run in document["runs"])
    assert {"pixel", "f1", "f3"} == {run["space"] for run in document["runs"]}
    words = (
        "plan",
        QUICKSTART,
        "--explain",
        "--cluster",
        str(ROOT / "cluster" / "aws.yaml"),
        "--only",
        "algorithm=mtt",
    )
    more = printed(capsys, "plan", *words)
    assert more["differences"]
    assert any(each["machines"] for each in more["machines"])


def test_plan_of_a_sweep_that_is_finished_and_of_data_that_is_not_there(swept, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GLAD_RAY_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(
        "from tests.test_documents import BASE, EVALUATION\nfrom glad_ray import Sweep\nprint('of a user')\n"
        "def sweep():\n"
        "    return Sweep(name='small', runs=(BASE, BASE.replace(dataset='cifar10')), evaluations=EVALUATION)\n"
    )
    document = printed(capsys, "plan", "plan", "small.py", "--storage", swept.uri)
    assert {run["dataset"]: run["finished"] for run in document["runs"]} == {
        "fashion-mnist-sample": True,
        "cifar10": False,
    }
    assert document["left"]["runs"] == 1
    assert len(document["missing_data"]) == 1


def test_status(swept, capsys):
    document = printed(capsys, "status", "status", swept.uri)
    assert document["counts"] == {"failed": 1, "finished": 1}
    assert document["sweep"] == "small"


def test_report(swept, capsys):
    document = printed(capsys, "report", "report", swept.uri)
    rows = read_results(swept).to_pandas()
    (section,) = document["sections"]
    last = section["tables"][0]
    assert last["selection"] == "last"
    (row,) = last["rows"]
    of_last = rows[rows.selection == "last"]
    assert {score["network"]: score["mean"] for score in row["scores"]} == pytest.approx(
        dict(of_last.groupby("network").accuracy.mean())
    )
    assert [failure["run_id"] for failure in document["failures"]] == [FAILING.run_id]
    assert Path(document["page"]).is_file()


def test_evaluate(swept, tmp_path, capsys):
    made = Path(swept.uri) / swept.synthetic_set_path(BASE.run_id)
    words = ["evaluate", str(made), "--storage", str(tmp_path / "scored"), "--network", "convnet", "--repeats", "2"]
    words += ["--epochs", "1", "--device", "cpu", "--set", "evaluation.test_images=20", "--set"]
    words += ['evaluation.metrics=["per_class_accuracy"]']
    document = printed(capsys, "evaluation", *words)
    (network,) = document["networks"]
    assert [training["repeat"] for training in network["trainings"]] == [0, 1]
    assert network["mean"] == pytest.approx(sum(each["accuracy"] for each in network["trainings"]) / 2)
    assert len(network["trainings"][0]["metrics"]) == 10


def test_inspect(capsys):
    document = printed(capsys, "generator", "generator", "inspect", "fashion-mnist-prior")
    assert [layer["space"] for layer in document["layers"]] == [f"f{n}" for n in range(len(document["layers"]))]
    assert document["scores"][0]["accuracy"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "nowhere.py"),
        ("plan", QUICKSTART, "--only", "spaces=pixel"),
        ("status", "nowhere"),
        ("report", "nowhere"),
        ("evaluate", "nowhere.safetensors"),
        ("generator", "inspect", "nowhere.pkl"),
        ("search", str(ROOT / "sweeps" / "search_layers.py"), "--best"),
    ],
)
def test_errors_are_what_they_are_without(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = []
    for more in ((), ("--json",)):
        assert main([*words, *more]) == 2
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert said[1].out == ""
    assert len(said[1].err.splitlines()) == 1


def test_only_the_best_run_of_a_search_is_a_document(capsys):
    assert main(["search", str(ROOT / "sweeps" / "search_layers.py"), "--json"]) == 2
    assert "--json goes with --best" in capsys.readouterr().err


def test_numbers_that_json_does_not_have_are_null(capsys):
    print_document("status", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}, "d": ("e", 1)})
    assert json.loads(capsys.readouterr().out) == {
        "version": 1, "kind": "status", "a": [None, 1.5], "b": {"c": None}, "d": ["e", 1],
    }  # fmt: skip


def test_every_kind_has_a_schema_and_a_line_in_the_docs():
    kinds = set(get_args(Kind))
    assert {path.stem for path in SCHEMAS.glob("*.json")} == kinds
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(schemas/([a-z-]+)\.json\)", page)) == kinds
    for path in SCHEMAS.glob("*.json"):
        Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))
