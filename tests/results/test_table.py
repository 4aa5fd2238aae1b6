import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glad_ray.errors import DataError
from glad_ray.results import SCHEMA, Distillation, Training, finished, read_results, select, write_results
from glad_ray.spec import DM, Evaluation, Network, RandomReal, RandomStyleGAN, Run
from glad_ray.storage import Storage

EVALUATION = Evaluation(
    networks=("convnet", "vit", Network(name="vgg11", width=16)), repeats=3, epochs=7, test_images=500
)
PIXEL = Run(algorithm=DM(iterations=20), snapshots=2, held_out=5)
LATENT = PIXEL.replace(space="f4", generator=RandomStyleGAN(image_channels=1), held_out=0, images_per_class=10, seed=3)
TAKEN = Distillation(seconds=3.5, peak_memory_bytes=2**33, device="NVIDIA H100", versions={"torch": "2.11.0"})


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path)


def made(run, evaluation=EVALUATION):
    rng = np.random.default_rng(0)
    return {
        network.key: [
            Training(
                step=step,
                network=network.key,
                repeat=repeat,
                accuracy=rng.random(),
                held_out_accuracy=rng.random() if run.held_out else None,
                learning_rate=rng.random(),
                seconds=rng.random(),
                peak_memory_bytes=int(rng.integers(1, 2**40)),
                device="cpu",
            )
            for repeat in reversed(range(evaluation.repeats))
            for step in run.snapshot_steps
        ]
        for network in evaluation.networks
    }


def test_a_row_per_selection_network_and_repeat(storage):
    trainings = made(PIXEL)
    write_results(storage, PIXEL, EVALUATION, "my-sweep", trainings, TAKEN)
    table = read_results(storage)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    chosen = select(trainings, "convnet", (10, 20))
    assert set(chosen) == {"last", "held-out", "best-on-test"}
    by_key = {(row["selection"], row["network"], row["repeat"]): row for row in rows}
    assert len(by_key) == len(rows) == 3 * 3 * 3
    for (selection, network, repeat), row in by_key.items():
        (training,) = (
            t for t in trainings[network] if (t.step, t.repeat) == (chosen[selection][network], repeat)
        )  # fmt: skip
        assert row["step"] == training.step
        assert row["accuracy"] == training.accuracy
        assert row["held_out_accuracy"] == training.held_out_accuracy
        assert row["evaluate_seconds"] == training.seconds
        assert row["evaluate_peak_memory_bytes"] == training.peak_memory_bytes
        assert row["evaluate_device"] == "cpu"
        assert row["seen"] == (network == "convnet")
        assert row["evaluation_learning_rate"] == training.learning_rate


def test_what_is_the_same_in_all_rows(storage):
    write_results(storage, LATENT, EVALUATION, "my-sweep", made(LATENT), TAKEN)
    for row in read_results(storage).to_pylist():
        assert row["selection"] in ("last", "best-on-test")
        assert row["held_out_accuracy"] is None
        assert row["finished_at"].utcoffset().total_seconds() == 0
        assert json.loads(row["versions"]) == {"torch": "2.11.0"}
        same = {
            "run_id": LATENT.run_id,
            "evaluation_id": EVALUATION.content_id,
            "sweep": "my-sweep",
            "dataset": "fashion-mnist-sample",
            "resolution": 32,
            "algorithm": "dm",
            "space": "f4",
            "layer": 4,
            "generator": LATENT.generator_name,
            "ipc": 10,
            "seed": 3,
            "test_images": 500,
            "set_bytes": LATENT.set_bytes,
            "generator_bytes": LATENT.generator_bytes,
            "profile": "paper",
            "labels": "hard",
            "augmentation": LATENT.augmentation,
            "evaluation_epochs": 7,
            "evaluation_schedule": "cosine",
            "distill_seconds": 3.5,
            "distill_peak_memory_bytes": 2**33,
            "distill_device": "NVIDIA H100",
        }
        assert {key: row[key] for key in same} == same


def test_pixel_space_has_no_layer_and_no_generator(storage):
    baseline = Run(algorithm=RandomReal())
    write_results(storage, baseline, EVALUATION.replace(test_images=None), "s", made(baseline), TAKEN)
    for row in read_results(storage).to_pylist():
        assert (row["layer"], row["generator"], row["step"], row["test_images"]) == (None, "none", 0, None)


def test_parts_make_one_table_and_the_same_part_again_changes_nothing(storage):
    assert read_results(storage).num_rows == 0
    assert read_results(storage).schema.equals(SCHEMA)
    for run in (PIXEL, LATENT, PIXEL):
        assert finished(storage, run.run_id, EVALUATION.content_id) == (run is PIXEL and storage.list("results") != ())
        write_results(storage, run, EVALUATION, "s", made(run), TAKEN)
        assert finished(storage, run.run_id, EVALUATION.content_id)
    assert not finished(storage, PIXEL.run_id, "0" * 12)
    table = read_results(storage)
    assert table.num_rows == 27 + 18
    assert set(table["run_id"].to_pylist()) == {PIXEL.run_id, LATENT.run_id}
    # Whole tables are read without this package, too.
    assert pq.ParquetDataset(storage.local_path("results")).read().num_rows == 45


def test_only_networks_of_the_evaluation_have_rows(storage):
    fewer = EVALUATION.replace(networks=("vit",))
    write_results(storage, PIXEL, fewer, "s", made(PIXEL), TAKEN)
    table = read_results(storage)
    assert set(table["network"].to_pylist()) == {"vit"}
    assert set(table["selection"].to_pylist()) == {"last", "best-on-test"}


@pytest.mark.parametrize("fault", ["network", "repeat", "step", "twice"])
def test_an_evaluation_that_is_not_complete_is_refused(storage, fault):
    trainings = made(PIXEL)
    of_vit = trainings["vit"]
    trainings["vit"] = {
        "network": [],
        "repeat": [t for t in of_vit if (t.step, t.repeat) != (20, 2)],
        "step": [t for t in of_vit if t.step != 10],
        "twice": [*of_vit, replace(of_vit[0], accuracy=0.5)],
    }[fault]
    with pytest.raises(DataError, match=r"The trainings of vit for run .* delete runs/.*/vit\.parquet"):
        write_results(storage, PIXEL, EVALUATION, "s", trainings, TAKEN)
    assert not finished(storage, PIXEL.run_id, EVALUATION.content_id)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_a_damaged_part_is_named(storage, keep):
    for run in (PIXEL, LATENT):
        write_results(storage, run, EVALUATION, "s", made(run), TAKEN)
    path = Storage.results_path(LATENT.run_id, EVALUATION.content_id)
    storage.write_bytes(path, storage.read_bytes(path)[:keep])
    with pytest.raises(DataError, match="is damaged: delete it and run the sweep again") as raised:
        read_results(storage)
    assert str(raised.value).startswith(path)


def test_a_part_of_other_columns_is_named(storage):
    storage.write_bytes("results/a-b.parquet", b"")
    pq.write_table(pa.table({"accuracy": [0.5]}), storage.local_path("results/a-b.parquet"))
    with pytest.raises(DataError, match=r"results/a-b\.parquet in .* has other columns than this version"):
        read_results(storage)


def test_whitened_runs_have_a_column_and_parts_of_before_are_read_without_it(storage):
    whitened = PIXEL.replace(whitening="zca")
    for run in (PIXEL, whitened):
        write_results(storage, run, EVALUATION, "s", made(run), TAKEN)
    path = storage.local_path(Storage.results_path(PIXEL.run_id, EVALUATION.content_id))
    later = (
        "whitening", "distill_precision", "evaluate_precision", "regime", "evaluation_optimiser", "evaluation_mixing",
        "evaluation_views",
    )  # fmt: skip
    before = pq.read_table(path).drop_columns(list(later))
    pq.write_table(before, path)
    table = read_results(storage)
    assert table.schema.equals(SCHEMA)
    assert {(row["run_id"], row["whitening"]) for row in table.to_pylist()} == {
        (PIXEL.run_id, None), (whitened.run_id, "zca"),
    }  # fmt: skip


def test_a_part_that_lacks_another_column_is_not_read_as_one_of_before(storage):
    write_results(storage, PIXEL, EVALUATION, "s", made(PIXEL), TAKEN)
    path = storage.local_path(Storage.results_path(PIXEL.run_id, EVALUATION.content_id))
    pq.write_table(pq.read_table(path).drop_columns("test_images"), path)
    with pytest.raises(DataError, match="has other columns"):
        read_results(storage)


def test_other_files_beside_the_parts_do_not_disturb(storage):
    write_results(storage, PIXEL, EVALUATION, "s", made(PIXEL), TAKEN)
    storage.write_bytes("results/notes.txt", b"mine")
    storage.local_path("results/.x.parquet.1.partial").write_bytes(b"half")
    assert read_results(storage).num_rows == 27


def test_every_column_is_documented():
    page = (Path(__file__).parents[2] / "docs/results-columns.md").read_text()
    table = page.partition("## Columns")[2].partition("##")[0]
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table, flags=re.MULTILINE)
    expected = [
        (
            field.name,
            f"{field.type}, or null" if field.nullable else str(field.type),
            field.metadata[b"meaning"].decode(),
        )
        for field in SCHEMA
    ]
    assert documented == expected


def test_a_column_that_a_later_version_added_is_left_out_and_a_later_format_is_told(storage):
    write_results(storage, PIXEL, EVALUATION, "s", made(PIXEL), TAKEN)
    path = storage.local_path(Storage.results_path(PIXEL.run_id, EVALUATION.content_id))
    written = pq.read_table(path)
    assert written.schema.metadata[b"glad_ray.format"] == b"1"
    pq.write_table(written.append_column("of tomorrow", pa.array([1.0] * written.num_rows)), path)
    assert read_results(storage).schema.equals(SCHEMA)
    pq.write_table(written.replace_schema_metadata({"glad_ray.format": "2"}), path)
    with pytest.raises(DataError, match=r"was written by a later version of glad_ray \(format 2, and .* up to 1\)"):
        read_results(storage)


def test_a_metric_is_a_column_and_null_where_it_was_not_asked_for(storage):
    trainings = {
        key: [
            replace(each, metrics={"per_class_accuracy.0": each.accuracy, "mine:calibration": 0.25}) for each in made_
        ]
        for key, made_ in made(LATENT).items()
    }
    write_results(storage, PIXEL, EVALUATION, "s", made(PIXEL), TAKEN)
    write_results(storage, LATENT, EVALUATION, "s", trainings, TAKEN)
    table = read_results(storage)
    assert table.column_names == [*SCHEMA.names, "metric.mine:calibration", "metric.per_class_accuracy.0"]
    for row in table.to_pylist():
        asked = row["run_id"] == LATENT.run_id
        assert row["metric.mine:calibration"] == (0.25 if asked else None)
        assert row["metric.per_class_accuracy.0"] == (row["accuracy"] if asked else None)
