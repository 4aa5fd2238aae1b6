import hashlib
import io
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import glad_ray
from glad_ray.data.make_sample import make_sample
from glad_ray.data.readers.mnist import read_mnist
from glad_ray.data.readers.png_table import SAMPLE, SCHEMA, encode_png, read_png_table
from glad_ray.errors import DataError, UserError
from glad_ray.spec import dataset_facts
from tests.data.files import few_images, write_files

FACTS = dataset_facts("fashion-mnist-sample")
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def test_what_is_bundled():
    assert SAMPLE.stat().st_size < 3_000_000
    licence = (SAMPLE.parent / "LICENSE").read_text()
    assert "MIT License" in licence
    assert "2017 Zalando SE" in licence
    assert SAMPLE.is_relative_to(Path(glad_ray.__file__).parent)
    table = pq.read_table(SAMPLE)
    assert table.schema.equals(SCHEMA)
    counts = table.group_by(["split", "label"]).aggregate([("image", "count")]).to_pylist()
    assert {(c["split"], c["label"], c["image_count"]) for c in counts} == {
        (split, label, count) for split, count in (("train", 400), ("test", 100)) for label in range(10)
    }
    assert (FACTS.train_images, FACTS.test_images) == (4000, 1000)


def test_its_pixels_are_those_of_the_original():
    # Of the first 400 and 100 images a class of the four original files, class by class, read without this package.
    expected = {
        "train": "7c63248045b626338897e23a97bc1ac87251598736783f3ef2f3285f9f2584ac",
        "test": "6405f9c5740c6b4374f32e6ec4f0fdf72951df6404bd65cd378e7f0257150b6f",
    }
    for name in ("train", "test"):
        images, labels = read_png_table(SAMPLE, name, FACTS)
        assert hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest() == expected[name]


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="the package dataset-fashion-mnist is not installed")
def test_it_can_be_made_again(tmp_path):
    make_sample(DEBIAN_FOLDER, tmp_path / "sample.parquet")
    made, bundled = (pq.read_table(path) for path in (tmp_path / "sample.parquet", SAMPLE))
    for column in ("label", "split", "source_index"):
        assert made[column].equals(bundled[column])
    # The PNG files depend on the compression library, their pixels do not.
    for path, name in itertools.product((tmp_path / "sample.parquet", SAMPLE), ("train", "test")):
        original = read_mnist(DEBIAN_FOLDER, name, dataset_facts("fashion-mnist"))
        images, labels = read_png_table(path, name, FACTS)
        index = pq.read_table(path, filters=[("split", "=", name)])["source_index"].to_numpy()
        assert np.array_equal(images, original.images[index])
        assert np.array_equal(labels, original.labels[index])


def test_a_sample_is_not_made_of_too_few_images(tmp_path):
    write_files(tmp_path / "few", few_images(), gz=True)
    with pytest.raises(UserError, match="has 20 train images of class 0: the sample takes 400"):
        make_sample(tmp_path / "few", tmp_path / "sample.parquet")
    assert not (tmp_path / "sample.parquet").exists()


def _table(tmp_path, **columns):
    """A whole table of ten rows with some columns replaced (None: left out)."""
    images = [encode_png(image) for image in few_images(train=1)[0]]
    good = {
        "image": pa.array(images, pa.binary()),
        "label": pa.array(range(10), pa.uint8()),
        "split": pa.array(["train", "test"] * 5),
        "source_index": pa.array(range(10), pa.int32()),
    }
    path = tmp_path / "table.parquet"
    table = pa.table({name: value for name, value in (good | columns).items() if value is not None})
    pq.write_table(table, path, write_page_checksum=True)
    return path, images


def _other_images(images, row, png):
    return pa.array([*images[:row], png, *images[row + 1 :]], pa.binary())


def _png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


BAD_COLUMNS = {
    "no column": ({"label": None}, "no column 'label'"),
    "column type": ({"label": pa.array(["1"] * 10)}, "column 'label' is string, not uint8"),
    "empty label": ({"label": pa.array([1, None] * 5, pa.uint8())}, "column 'label' has 5 empty values"),
    "label 10": ({"label": pa.array([1] * 7 + [10] + [11] * 2, pa.uint8())}, "row 7 has 10 as its label: labels run"),
    "split": ({"split": pa.array(["train"] * 3 + ["val"] * 7)}, "row 3 has val as its split: use train or test"),
    "empty image": ({"image": pa.array([b""] * 10, pa.binary())}, "the image in row 0 is no whole PNG"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns_are_told(case, tmp_path):
    columns, told = BAD_COLUMNS[case]
    path, _ = _table(tmp_path, **columns)
    with pytest.raises(DataError) as caught:
        read_png_table(path, "train", FACTS)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


BAD_PNGS = {
    "not PNG": (lambda png: b"GIF89a" + png[6:], "no whole PNG file"),
    "cut": (lambda png: png[: len(png) // 2], "no whole PNG file"),
    "flipped": (lambda png: png[:80] + bytes([png[80] ^ 1]) + png[81:], "no whole PNG file"),
    "27 pixels": (lambda png: _png(np.zeros((28, 27), np.uint8)), "27 x 28 pixels of mode L, not 28 x 28"),
    "colour": (lambda png: _png(np.zeros((28, 28, 3), np.uint8)), "28 x 28 pixels of mode RGB, not 28 x 28 of mode L"),
}


@pytest.mark.parametrize("case", BAD_PNGS)
def test_a_bad_png_is_told_with_its_row(case, tmp_path):
    change, told = BAD_PNGS[case]
    _, images = _table(tmp_path)
    path, _ = _table(tmp_path, image=_other_images(images, 6, change(images[6])))
    with pytest.raises(DataError) as caught:
        read_png_table(path, "train", FACTS)
    assert str(path) in str(caught.value)
    assert "row 6" in str(caught.value)
    assert told in str(caught.value)


def test_no_flipped_bit_of_a_png_changes_pixels_unseen(tmp_path):
    path, images = _table(tmp_path)
    good = read_png_table(path, "train", FACTS).images
    found = 0
    for at in range(len(images[0])):
        flipped = images[0][:at] + bytes([images[0][at] ^ 4]) + images[0][at + 1 :]
        path, _ = _table(tmp_path, image=_other_images(images, 0, flipped))
        try:
            read = read_png_table(path, "train", FACTS).images
        except DataError:
            found += 1
        else:
            assert np.array_equal(read, good), f"byte {at}"
    assert found > len(images[0]) - 10


def test_a_damaged_parquet_file_is_told(tmp_path):
    path, _ = _table(tmp_path)
    whole = path.read_bytes()
    for data in (b"", b"PAR1", whole[:-1], whole[: len(whole) // 2], whole[:100] + b"\0\xff" + whole[102:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="it is no whole Parquet file") as caught:
            read_png_table(path, "train", FACTS)
        assert str(path) in str(caught.value)


def test_a_missing_parquet_file_is_told(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.parquet is missing"):
        read_png_table(tmp_path / "nothing.parquet", "train", FACTS)
