"""The commands as functions, and what a storage holds as an object: ended, half finished, failed, empty, of before."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import glad_ray
from glad_ray.api import Picture
from glad_ray.errors import DataError, GladRayError, UserError
from glad_ray.results import read_results
from glad_ray.spec import DM, Evaluation, LearningRates, Network, RandomReal, Run, Sweep
from glad_ray.storage import Storage

NETWORK = Network(width=4)
BASE = Run(algorithm=RandomReal(), resolution=28, backbone=NETWORK, held_out=4, snapshots=2)
MATCHING = BASE.replace(algorithm=DM(iterations=4, real_batch_size=8))
FAILING = BASE.replace(
    algorithm=DM(iterations=4, real_batch_size=8, learning_rates=LearningRates(pixels=1e30, f=1, w=1))
)
EVALUATION = Evaluation(networks=(NETWORK, Network(width=4, depth=1)), repeats=2, epochs=2, test_images=20)
BEFORE = Path(__file__).parent.parent / "storage" / "before" / "sweep"


def sweep(*runs):
    return Sweep(name="small", runs=runs, evaluations=EVALUATION)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    where = tmp_path_factory.mktemp("api") / "results"
    return glad_ray.run(sweep(BASE, MATCHING), where, in_process=True, device="cpu")


@pytest.mark.parametrize(
    ("used", "without"),
    [
        ("glad_ray; glad_ray.load, glad_ray.run", {"torch", "ray", "pandas"}),
        ("glad_ray.engine.in_process", {"ray", "optuna", "sqlalchemy", "matplotlib", "sklearn", "kornia"}),
        # Tune, and what it imports, wait for the first trial: the first tasks do not.
        (
            "glad_ray.engine.on_ray.run",
            {"ray.tune", "ray.data", "pandas", "optuna", "sqlalchemy", "matplotlib", "sklearn", "kornia"},
        ),
    ],
)
def test_what_is_loaded_when_it_is_not_needed(used, without):
    check = f"import {used}\nimport sys; print({without} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "set()\n"


def test_names_of_the_package():
    assert {"run", "search", "distill", "evaluate", "load", "Results"} <= set(dir(glad_ray))
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = glad_ray.runn


def test_a_table_that_is_tidy(finished):
    table = finished.to_pandas()
    assert len(table) == len(read_results(finished.storage))
    assert table.accuracy.between(0, 1).all()
    last = finished.to_pandas("last")
    assert set(last.selection) == {"last"}
    assert not last.duplicated(["run_id", "evaluation_id", "network", "repeat"]).any()
    assert len(last) == 2 * 2 * 2
    means = last.groupby(["algorithm", "network"]).accuracy.mean()
    assert set(means.index.get_level_values("algorithm")) == {"random", "dm"}
    types = dict(last.dtypes)
    assert pd.api.types.is_float_dtype(types["accuracy"])
    assert pd.api.types.is_bool_dtype(types["seen"])


def test_what_was_made_of_a_run(finished):
    assert set(finished.runs) == {BASE, MATCHING}
    for which in (MATCHING, MATCHING.run_id):
        synthetic = finished.synthetic_set(which)
        assert synthetic.images.shape == (10, 1, 28, 28)
        losses = finished.losses(which)
        assert list(losses.step) == [1, 2, 3, 4]
        assert losses.loss.notna().all()
    with pytest.raises(DataError, match="has no losses"):
        finished.losses("abc")
    with pytest.raises(DataError, match=r"runs/abc/synthetic_set\.safetensors is missing"):
        finished.synthetic_set("abc")


def test_a_picture_that_a_notebook_draws(finished, tmp_path):
    picture = finished.images(MATCHING)
    assert isinstance(picture, Picture)
    picture.save(tmp_path / "set.png")
    assert Image.open(tmp_path / "set.png").size[1] > 28
    assert picture._repr_png_() == (tmp_path / "set.png").read_bytes()


def test_the_report_is_written_and_where_is_told(finished):
    assert finished.report() == f"{finished.storage}/report/index.html"
    assert "2 finished" in repr(finished)
    assert "2 finished" in finished._repr_html_()
    assert finished.status.counts == {"finished": 2}


def test_loading_gives_the_same(finished):
    loaded = glad_ray.load(finished.storage.uri)
    assert loaded == finished
    assert loaded.to_pandas().equals(finished.to_pandas())
    assert loaded.sweep.runs == finished.sweep.runs
    assert not loaded.failures
    assert loaded.trials == ()


def test_running_again_repeats_nothing(finished, capsys):
    before = finished.to_pandas()
    assert glad_ray.run(sweep(BASE, MATCHING), finished.storage.uri, in_process=True, device="cpu") == finished
    assert finished.resume(in_process=True, device="cpu") == finished
    assert finished.to_pandas().equals(before)


def test_what_failed_is_raised_and_told(tmp_path):
    with pytest.raises(GladRayError, match=r"^1 of 2 runs failed"):
        glad_ray.run(sweep(BASE, FAILING), tmp_path / "results", in_process=True, device="cpu")
    results = glad_ray.load(tmp_path / "results")
    (failure,) = results.failures
    assert failure.run_id == FAILING.run_id
    assert "Traceback" in failure.traceback
    assert set(results.to_pandas().run_id) == {BASE.run_id}
    assert "1 failed, 1 finished" in repr(results)


def test_half_a_sweep_is_loaded_and_gone_on_with(tmp_path, monkeypatch, finished):
    with monkeypatch.context() as patch:

        def interrupted(*given):
            raise KeyboardInterrupt

        patch.setattr("glad_ray.run_evaluation.evaluate_set", interrupted)
        with pytest.raises(KeyboardInterrupt):
            glad_ray.run(sweep(BASE, MATCHING), tmp_path / "results", in_process=True, device="cpu")
    half = glad_ray.load(tmp_path / "results")
    assert len(half.to_pandas()) == 0
    assert list(half.to_pandas().columns) == list(finished.to_pandas().columns)
    assert set(half.runs) == {BASE, MATCHING}
    half.resume(in_process=True, device="cpu")
    columns = ["run_id", "selection", "step", "network", "repeat", "accuracy"]
    ours, theirs = (each.to_pandas()[columns].sort_values(columns).reset_index(drop=True) for each in (half, finished))
    assert ours.equals(theirs)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no sweep or search in"):
        glad_ray.load(tmp_path)
    with pytest.raises(UserError, match="There is no folder"):
        glad_ray.load(tmp_path / "nowhere")


def test_a_storage_of_an_earlier_version():
    results = glad_ray.load(BEFORE)
    table = results.to_pandas()
    assert len(table) == len(read_results(Storage.open(BEFORE, create=False)))
    assert set(table.run_id) <= {run.run_id for run in results.runs}
    assert results.failures


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"device": "cuda"}, "add in_process=True"),
        ({"address": "auto", "in_process": True}, "leave address out"),
        ({"in_process": True, "device": "tpu"}, "tpu"),
        ({"address": "nowhere"}, "nowhere"),
    ],
)
def test_where_nothing_can_run_is_told_before_anything_is_written(tmp_path, where, said):
    with pytest.raises(UserError, match=said):
        glad_ray.run(sweep(BASE), tmp_path / "results", **where)
    assert not (tmp_path / "results").exists()


def test_a_sweep_that_cannot_be_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="has no runs"):
        glad_ray.run(sweep(), tmp_path / "results", in_process=True, device="cpu")
    assert not (tmp_path / "results").exists()


def test_a_run_alone_and_its_evaluation(tmp_path, monkeypatch):
    synthetic = glad_ray.distill(MATCHING, tmp_path / "distilled", device="cpu")
    assert synthetic.images.shape == (10, 1, 28, 28)
    assert synthetic.step == 4
    table = glad_ray.evaluate(synthetic, EVALUATION, tmp_path / "scored", device="cpu")
    assert list(table.columns) == ["network", "repeat", "accuracy", "held_out_accuracy", "learning_rate", "seconds"]
    assert list(table.repeat) == [0, 1, 0, 1]
    file = tmp_path / "distilled" / "runs" / MATCHING.run_id / "synthetic_set.safetensors"
    monkeypatch.setattr("glad_ray.score.evaluate_set", None)
    assert glad_ray.evaluate(file, EVALUATION, tmp_path / "scored", device="cpu").equals(table), "nothing is made twice"


def test_a_search(tmp_path):
    from glad_ray.spec import Choice, Rung, Search

    small = Search(
        name="small",
        base=MATCHING,
        vary={"algorithm.learning_rates.pixels": Choice(values=(0.1, 1.0))},
        trials=2,
        rungs=(Rung(share=1, epochs=1),),
        evaluation=EVALUATION,
        finalists=1,
        controls=0,
        seeds=1,
    )
    results = glad_ray.search(small, tmp_path / "results", in_process=True, device="cpu")
    assert len(results.trials) == 2
    assert results.search == small
    assert results.report().endswith("search.html")
    assert len(results.to_pandas("last")) == 2 * 2
    assert glad_ray.load(tmp_path / "results").resume(in_process=True, device="cpu") == results
