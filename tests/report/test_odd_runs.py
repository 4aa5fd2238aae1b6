"""One run whose files are odd or damaged costs the report of the others nothing, and is told."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glad_ray.report import write_report
from glad_ray.results import Failure, write_failure, write_losses
from glad_ray.results.table import SCHEMA
from glad_ray.spec import DM, DatasetFacts, Evaluation, Run
from glad_ray.storage import Storage
from tests.report.parsed import accuracy_tables, page_of
from tests.report.sample import write_run

EVALUATION = Evaluation(networks=("convnet", "vit"), repeats=1)
GOOD = [Run(algorithm=DM(iterations=20), seed=seed) for seed in (1, 2)]
NAMES = (
    "\x00\x1b[31m",
    "<script>alert(1)</script>",
    "a\nb",
    "",
    "x" * 5000,
    "\u202egnp.exe",
    "שלום",
    "M\\xf6we",
    "🦓",
    "-",
)


@pytest.fixture
def storage(storage):
    """Two runs that are whole."""
    for run in GOOD:
        write_run(storage, run, EVALUATION, "odd")
    return storage


def odd_runs(storage, count):
    """So many further runs, whole until they are changed."""
    runs = [Run(algorithm=DM(iterations=20), images_per_class=2, seed=seed) for seed in range(10, 10 + count)]
    for run in runs:
        write_run(storage, run, EVALUATION, "odd")
    return runs


def others_are_shown(storage):
    page = page_of(storage)
    for run in GOOD:
        assert page.words.count(run.run_id) >= 2, "its picture and its record"
    assert accuracy_tables(page)
    return page


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"sweep": {"name": "\\udcf6"}, "run_id": "\\udcf6"}', "cut", "folder"]
)
def test_damaged_files_are_told_and_the_rest_is_shown(content, storage):
    record, failure, losses, picture, rows = odd_runs(storage, 5)
    write_failure(storage, Failure(run_id=failure.run_id, stage="distill", error="no", traceback=""))
    storage.write_bytes(Storage.PLAN, b"no plan at all, nor anything else")
    paths = (
        Storage.PLAN,
        Storage.run_path(record.run_id),
        Storage.failure_path(failure.run_id),
        Storage.losses_path(losses.run_id),
        Storage.images_path(picture.run_id),
        Storage.results_path(rows.run_id, EVALUATION.content_id),
    )
    for path in paths:
        if content == "folder":
            storage.delete(path)
            storage.write_bytes(f"{path}/inside", b"")
        else:
            storage.write_bytes(path, storage.read_bytes(path)[:-20] if content == "cut" else content)
    page = others_are_shown(storage)
    told = page.words.partition("What could not be shown All else")[2]
    for path in paths:
        assert path.rpartition("/")[2] in told


def change_rows(storage, run, **values):
    path = Storage.results_path(run.run_id, EVALUATION.content_id)
    rows = pq.read_table(pa.BufferReader(storage.read_bytes(path))).to_pylist()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([row | values for row in rows], schema=SCHEMA), sink)
    storage.write_bytes(path, sink.getvalue().to_pybytes())


ROWS = {
    "algorithm": "mine",
    "space": "",
    "dataset": "folder:/nowhere/\x01",
    "network": "",
    "selection": "luck",
    "accuracy": float("nan"),
    "resolution": -1,
    "ipc": 0,
    "seed": -(2**40),
    "labels": "\U0001f993",
    "versions": "no JSON",
    "versions ": "[]",
    "set_bytes": 0,
    "distill_seconds": float("inf"),
    "evaluate_seconds": float("nan"),
    "step": -1,
    "evaluation_learning_rate": float("inf"),
    "evaluation_schedule": "none",
    "augmentation": "<b>",
}


@pytest.mark.full
@pytest.mark.parametrize("record", [True, False])
def test_odd_rows_cost_the_others_nothing(record, storage):
    runs = odd_runs(storage, len(ROWS))
    for run, (field, value) in zip(runs, ROWS.items(), strict=True):
        if not record:
            storage.delete(Storage.run_folder(run.run_id))
        change_rows(storage, run, **{field.strip(): value})
    page = others_are_shown(storage)
    assert all(run.run_id in page.words for run in runs)


def test_odd_losses_cost_the_others_nothing(storage):
    nan, infinity = float("nan"), float("inf")
    odd = [[nan] * 3, [infinity, 1.0], [-1.0, 0.0], [0.0] * 4, [1e300, 1e-300], []]
    for run, losses in zip(odd_runs(storage, len(odd)), odd, strict=True):
        write_losses(storage, run.run_id, losses, [0.0] * len(losses))
    others_are_shown(storage)


def test_odd_errors_are_told(storage):
    texts = (*NAMES, "\ud83d", "M\udcf6we")
    for run, text in zip(odd_runs(storage, len(texts)), texts, strict=True):
        failure = Failure(run_id=run.run_id, stage="distill", error="no", traceback="none")
        record = json.loads(failure.model_dump_json()) | {"error": text, "traceback": text}
        storage.write_bytes(Storage.failure_path(run.run_id), json.dumps(record).encode())
    page = others_are_shown(storage)
    assert not page.foreign_scripts
    assert "<script>alert(1)</script>" in page.words


def test_odd_names_of_classes_are_shown(storage):
    known = dataclasses.asdict(GOOD[0].facts)
    facts = {field.name: known[field.name] for field in dataclasses.fields(DatasetFacts)}
    facts |= {"name": "folder:/own", "title": "own \x1b"}
    for names in (NAMES, ("M\udcf6we",) * 10):
        (run,) = odd_runs(storage, 1)
        own = facts | {"class_names": names}
        record = json.loads(run.model_dump_json()) | {"dataset": "folder:/own", "own_dataset": own}
        storage.write_bytes(Storage.run_path(run.run_id), json.dumps(record).encode())
        page = others_are_shown(storage)
        assert not page.foreign_scripts
        assert ("<script>alert(1)</script>" in page.words) is (names is NAMES)
        assert run.run_id in page.words


def test_a_page_that_fails_without_any_run_is_an_error(storage, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("of the page itself")

    monkeypatch.setattr("glad_ray.report.page.render", fail)
    with pytest.raises(RuntimeError, match="of the page itself"):
        write_report(storage)
