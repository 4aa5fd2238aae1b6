"""The page of storages that hold little, much, or what is damaged."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from glad_ray.errors import UserError
from glad_ray.report import write_report
from glad_ray.results import Failure, write_failure
from glad_ray.spec import DATASETS, DM, Evaluation, LearningRates, Run
from glad_ray.spec.datasets import DatasetFacts
from glad_ray.storage import Storage
from tests.report.parsed import accuracy_tables, facts, page_of, said
from tests.report.sample import small_sweep, write_run


def test_nothing_there(storage):
    with pytest.raises(UserError, match="has no run of a sweep or search to report"):
        write_report(storage)
    assert not storage.tree("")


def test_a_plan_alone(storage):
    sweep = small_sweep(spaces=("f4",))
    storage.write_bytes(Storage.PLAN, json.dumps({"sweep": sweep.model_dump(mode="json")}).encode())
    page = page_of(storage)
    assert "No results yet." in page.words
    assert "0 of 7 runs scored, 7 not finished." in page.words


def test_only_failures(storage):
    write_failure(storage, Failure(run_id="a" * 12, stage="experts", error="no <space> left", traceback="x\ny"))
    page = page_of(storage)
    assert "0 of 1 run scored, 1 failed." in page.words
    assert f"{'a' * 12} failed while its experts were trained: no <space> left" in page.words


def test_one_run_trained_once(storage):
    made = write_run(
        storage, Run(algorithm=DM(iterations=20)), Evaluation(networks=("convnet",), repeats=1), "one"
    )  # fmt: skip
    page = page_of(storage)
    (table, *_) = page.all("table")
    assert page.grid(table)[0] == ["Space", "Step", "ConvNetseen: distills"]
    assert page.grid(table)[2] == ["pixel", "20", f"{100 * made['convnet'][0].accuracy:.1f}"]
    assert len([figure for figure in page.all("figure") if "plot" in (figure["attributes"].get("class") or "")]) == 0


def test_a_run_whose_record_and_pictures_are_gone(storage):
    run = Run(algorithm=DM(iterations=20))
    write_run(storage, run, Evaluation(networks=("convnet", "vit"), repeats=1), "one")
    storage.delete(Storage.run_folder(run.run_id))
    page = page_of(storage)
    assert facts(page)["DM distillation"] == "20 steps"
    assert "Its record is not on storage." in said(page.run(run.run_id))
    assert not page.all("img")


def test_two_evaluations_are_not_mixed(storage):
    run = Run(algorithm=DM(iterations=20))
    for epochs in (10, 1000):
        write_run(storage, run, Evaluation(networks=("vit",), repeats=2, epochs=epochs), "two")
    page = page_of(storage)
    budgets = [said(heading) for heading in page.all("h3")][:2]
    assert sorted(budgets) == ["1,000 epochs", "10 epochs"]
    headings = [said(heading) for heading in page.all("h2")]
    place = "Fashion-MNIST (bundled sample), 28 px, 1 image per class"
    assert {f"{place} 1,000 epochs", f"{place} 10 epochs"} <= set(headings)
    assert len(accuracy_tables(page)) == 2


def test_five_hundred_rows_and_many_settings(storage):
    evaluation = Evaluation(networks=("convnet", "vit"), repeats=2)
    runs = [
        Run(algorithm=DM(iterations=4, learning_rates=LearningRates(pixels=rate, f=1, w=1)), images_per_class=ipc)
        for rate in range(1, 33)
        for ipc in (1, 2)
    ]
    for run in runs:
        write_run(storage, run, evaluation, "many")
    page = page_of(storage)
    assert "64 of 64 runs scored." in page.words
    rows = [row[0] for table in accuracy_tables(page) for row in page.grid(table) if row[0].startswith("pixel")]
    assert rows == [f"pixellearning_rates.pixels {rate}" for rate in range(1, 33)] * 2


def test_names_that_look_like_html(storage, monkeypatch):
    evil = "<script>alert('1')</script>\"&amp;"
    monkeypatch.setitem(
        DATASETS,
        "evil",
        DatasetFacts(
            name="evil",
            title=evil,
            class_names=(evil, "b'\"<"),
            channels=1,
            resolution=28,
            train_images=10,
            test_images=10,
            mean=(0.5,),
            std=(0.5,),
        ),
    )
    run = Run(dataset="evil", algorithm=DM(iterations=20))
    write_run(storage, run, Evaluation(networks=("vit",), repeats=1), evil)
    write_failure(storage, Failure(run_id="a" * 12, stage="distill", error=evil, traceback=f"</pre></details>{evil}"))
    page = page_of(storage)
    assert not page.foreign_scripts
    assert page.words.count(evil) >= 5
    assert f"</pre></details>{evil}" in page.words
    assert [said(item) for item in page.all("li")][-2:] == [evil, "b'\"<"]


@pytest.mark.parametrize("path", ["plan.json", "runs/x/run.json", "runs/x/failure.json", "results/x-y.parquet"])
@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"sweep": {"name": "x"}}'])
def test_a_damaged_file_is_told(storage, path, content):
    storage.write_bytes(path, content)
    assert f"{path} in {storage} is damaged: delete it" in page_of(storage).words


def test_a_place_that_cannot_be_written(storage):
    storage.write_bytes(Storage.PLAN, json.dumps({"sweep": small_sweep().model_dump(mode="json")}).encode())
    storage.write_bytes("report", b"a file in the way")
    with pytest.raises(UserError, match=r"The report cannot be written to .*/report: "):
        write_report(storage)


def test_large_pictures_are_made_smaller(storage):
    run = Run(algorithm=DM(iterations=2))
    write_run(storage, run, Evaluation(networks=("vit",), repeats=1), "large")
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1600, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    storage.write_bytes(Storage.images_path(run.run_id), buffer.getvalue())
    (picture,) = (image["attributes"] for image in page_of(storage).all("img"))
    assert (picture["width"], picture["height"]) == ("720", "675")
    assert picture["src"].startswith("data:image/webp;base64,")
    assert len(picture["src"]) < len(buffer.getvalue()) / 5
