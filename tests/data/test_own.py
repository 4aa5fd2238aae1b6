import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from glad_ray.data import load_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.data.resize import fit
from glad_ray.errors import DataError
from tests.data.trees import encoded, noise, write_classes

SIDE = 8


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.parametrize("test", ["test", "val"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_folder_is_loaded_by_the_names_of_its_folders(form, test, tmp_path):
    counts = {"zebra": 3, "ape": 5}
    write_classes(tmp_path / "own", {"train": counts, test: {"ape": 1, "zebra": 2}}, (SIDE, SIDE), form)
    dataset = load_dataset(f"folder:{tmp_path / 'own'}", resolution=SIDE, held_out=1)
    assert dataset.class_names == ("ape", "zebra")
    assert dataset.train_labels.tolist() == [0] * 4 + [1] * 2
    assert dataset.held_out_labels.tolist() == [0, 1]
    assert dataset.test_labels.tolist() == [0, 1, 1]
    with Image.open(tmp_path / "own" / "train" / "zebra" / f"zebra_1.{form.lower()}") as image:
        assert np.array_equal(dataset.train_images[5], np.asarray(image).transpose(2, 0, 1))


def test_grey_images_stay_grey(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            (folder / "0.png").write_bytes(encoded(noise((SIDE, SIDE), len(str(folder)), grey=True)))
    dataset = load_dataset(f"folder:{tmp_path}", resolution=SIDE)
    assert dataset.train_images.shape == (2, 1, SIDE, SIDE)
    assert len(dataset.mean) == 1
    with Image.open(tmp_path / "train" / "b" / "0.png") as image:
        assert np.array_equal(dataset.train_images[1, 0], np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_colour(mode, tmp_path):
    write_classes(tmp_path, {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}, (SIDE, SIDE))
    form = "TIFF" if mode == "CMYK" else "PNG"
    path = tmp_path / "train" / "b" / f"b_0.{form.lower()}"
    (tmp_path / "train" / "b" / "b_0.png").unlink()
    path.write_bytes(encoded(noise((SIDE, SIDE)).convert(mode), form))
    dataset = load_dataset(f"folder:{tmp_path}", resolution=SIDE)
    with Image.open(path) as image:
        assert np.array_equal(dataset.train_images[1], np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _metadata(image="image", label="label"):
    features = {
        image: {"_type": "Image"},
        "coarse_label": {"names": ["all"], "_type": "ClassLabel"},
        label: {"names": ["no", "yes", "maybe"], "_type": "ClassLabel"},
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _table(labels, seed, image="image", label="label"):
    pictures = [noise((SIDE + 2, SIDE), 100 * seed + row) for row in range(len(labels))]
    cells = [{"bytes": encoded(picture), "path": f"{row}.png"} for row, picture in enumerate(pictures)]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table(
        {
            image: pa.array(cells, kind),
            "coarse_label": pa.array([0] * len(labels)),
            label: pa.array(labels, pa.int64()),
        }
    )
    return table.replace_schema_metadata(_metadata(image, label)), [np.asarray(p).transpose(2, 0, 1) for p in pictures]


def _write_parquet(root, name, table):
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, root / "data" / f"{name}.parquet", row_group_size=2)


def _write_saved(root, name, table):
    folder = root / name.partition("-")[0]
    folder.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(folder / f"data-{name}.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    files = [{"filename": path.name} for path in sorted(folder.glob("*.arrow"))]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))


WRITERS = {"parquet": _write_parquet, "saved": _write_saved}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label")])
def test_files_of_hugging_face_are_loaded_by_class(image, label, writer, tmp_path):
    images, labels = [], []
    for seed, (name, own) in enumerate({"train-0": [2, 0, 1, 0], "train-1": [1, 1, 2], "test-0": [2, 1, 0]}.items()):
        table, pictures = _table(own, seed, image, label)
        WRITERS[writer](tmp_path / "hub", name, table)
        if name != "test-0":
            images += pictures
            labels += own
    dataset = load_dataset(f"hf:{tmp_path / 'hub'}", resolution=SIDE)
    assert dataset.class_names == ("no", "yes", "maybe")
    assert dataset.train_labels.tolist() == sorted(labels)
    assert dataset.test_labels.tolist() == [0, 1, 2]
    order = np.argsort(labels, kind="stable")
    # Ten pixels wide: one is cut off on either side.
    assert np.array_equal(dataset.train_images, np.stack(images)[order][..., 1:-1])


def test_an_empty_file_among_them_does_not_matter(tmp_path):
    for seed, (name, labels) in enumerate({"train-0": [0, 1, 2], "train-1": [], "test-0": [0, 1, 2]}.items()):
        _write_parquet(tmp_path, name, _table(labels, seed)[0])
    assert len(load_dataset(f"hf:{tmp_path}", resolution=SIDE).train_labels) == 3


LABELS = {
    "too large": ([0, 1, 3], "The label in row 2 of .* is 3: labels run from 0 to 2"),
    "none": ([0, -1, 2], "The label in row 1 of .* is -1: labels run from 0 to 2; leave out images without one"),
    "empty": ([None, 1, 2], "The label in row 0 of .* is None"),
    "a class missing": ([0, 0, 2], "has no test images of yes"),
}


@pytest.mark.parametrize("case", LABELS)
def test_wrong_labels_are_told(case, tmp_path):
    labels, told = LABELS[case]
    _write_parquet(tmp_path, "train-0", _table([0, 1, 2], 1)[0])
    _write_parquet(tmp_path, "test-0", _table(labels, 2)[0])
    with pytest.raises(DataError, match=told):
        load_dataset(f"hf:{tmp_path}", resolution=SIDE)


def test_a_cell_that_is_no_image_is_told(tmp_path):
    table, _ = _table([0, 1, 2], 1)
    cells = [*table["image"].to_pylist()[:2], {"bytes": b"<html>", "path": None}]
    table = table.set_column(0, table.schema.field("image"), pa.array(cells, table.schema.field("image").type))
    _write_parquet(tmp_path, "train-0", table)
    _write_parquet(tmp_path, "test-0", _table([0, 1, 2], 2)[0])
    with pytest.raises(DataError, match=r"row 2 of .*train-0\.parquet is no image"):
        load_dataset(f"hf:{tmp_path}", resolution=SIDE)


SIZES = [(28, 32), (27, 32), (28, 28), (28, 20), (28, 48), (32, 64), (8, 9), (40, 32)]


@pytest.mark.parametrize(("side", "resolution"), SIZES)
@pytest.mark.parametrize("also_rectangles", [False, True])
def test_the_same_square_picture_becomes_the_same_pixels_by_every_reader(side, resolution, also_rectangles, tmp_path):
    pictures = [noise((side, side), seed, grey=True) for seed in range(4)]
    stored = np.stack([np.asarray(picture)[None] for picture in pictures])
    expected = fit(stored, resolution)
    cells = [{"bytes": encoded(picture), "path": None} for picture in pictures]
    if also_rectangles:
        cells.append({"bytes": encoded(noise((side, side + 5), grey=True)), "path": None})
    labels = [row % 2 for row in range(len(cells))]
    features = {"image": {"_type": "Image"}, "label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    table = pa.table({"image": cells, "label": labels}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    for split, rows in (("train", table), ("test", table.slice(0, 2))):
        _write_parquet(tmp_path / "hub", f"{split}-0", rows)
        for number, (cell, label) in enumerate(zip(cells, labels, strict=True)):
            folder = tmp_path / "own" / split / "ab"[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.png").write_bytes(cell["bytes"])
    for name in (f"folder:{tmp_path / 'own'}", f"hf:{tmp_path / 'hub'}"):
        dataset = load_dataset(name, resolution=resolution)
        # The rectangle is the last of class a.
        assert np.array_equal(dataset.train_images[[0, 1, -2, -1]], expected[[0, 2, 1, 3]])


def test_own_fashion_mnist_is_the_named_one(tmp_path):
    named = load_dataset("fashion-mnist-sample", resolution=32)
    stored = load_dataset("fashion-mnist-sample", resolution=28)
    for split in ("train", "test"):
        for label in range(10):
            folder = tmp_path / split / str(label)
            folder.mkdir(parents=True)
            first = int(np.argmax(stored.train_labels == label))
            (folder / "0.png").write_bytes(encoded(Image.fromarray(stored.train_images[first, 0])))
    own = load_dataset(f"folder:{tmp_path}", resolution=32)
    firsts = [int(np.argmax(named.train_labels == label)) for label in range(10)]
    assert np.array_equal(own.train_images, named.train_images[firsts])
