"""Sets as pictures: a folder a class, and a folder that Hugging Face's library reads."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from glad_ray.errors import UserError
from glad_ray.exchange import write_huggingface, write_image_folder, write_image_tensors
from glad_ray.spec import Run
from tests.exchange.sets import FACTS, made_set

WRITERS = (write_image_tensors, write_image_folder, write_huggingface)
PARQUET = "data/train-00000-of-00001.parquet"


def eight_bit(made):
    """By definition: what 8 bits hold of each image, as h x w x c."""
    values = made.images.double() * torch.tensor(made.std).view(-1, 1, 1) + torch.tensor(made.mean).view(-1, 1, 1)
    return (values.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def decoded(source, channels):
    image = Image.open(source)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
    return np.asarray(image).reshape(28, 28, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_folder_has_the_images_under_their_labels(channels, tmp_path):
    made = made_set(channels=channels)
    write_image_folder(made, tmp_path / "out")
    read = ImageFolder(str(tmp_path / "out"))
    assert [label for _, label in read.samples] == made.labels.tolist()
    for (path, _), expected in zip(read.samples, eight_bit(made), strict=True):
        np.testing.assert_array_equal(decoded(path, channels), expected)
    description = json.loads((tmp_path / "out" / "set.json").read_text())
    assert [each["name"] for each in description["classes"]] == list(FACTS.class_names)
    assert [each["folder"] for each in description["classes"]] == read.classes
    assert read.classes[0] == "0_T-shirt_top"
    assert "clipped" in description["images"]
    assert "rounded" in description["images"]


def test_any_class_name_makes_a_safe_folder_in_the_order_of_the_labels(tmp_path):
    names = ("../up", "..", "", "a/b", "a\\b", "CON", "ä", "x" * 300, "z.", "same", "same", "Same")
    write_image_folder(made_set(ipc=1, classes=names), tmp_path / "out")
    read = ImageFolder(str(tmp_path / "out"))
    assert len(read.classes) == len(names)
    assert [label for _, label in read.samples] == list(range(len(names)))
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert read.classes[:4] == ["00_up", "01", "02", "03_a_b"]


@pytest.mark.parametrize("soft", [False, True])
def test_a_hugging_face_folder_says_in_its_schema_what_the_columns_are(soft, tmp_path):
    made = made_set(soft=soft)
    write_huggingface(made, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / PARQUET)
    assert table.schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert table.schema.field("label").type == pa.int64()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.column_names
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": list(FACTS.class_names), "_type": "ClassLabel"}
    assert table["label"].to_pylist() == made.labels.tolist()
    for row, expected in zip(table["image"].to_pylist(), eight_bit(made), strict=True):
        np.testing.assert_array_equal(decoded(io.BytesIO(row["bytes"]), 1), expected)
    if soft:
        assert table.schema.field("soft_labels").type == pa.list_(pa.float32(), 10)
        value = {"dtype": "float32", "_type": "Value"}
        assert features["soft_labels"] == {"feature": value, "length": 10, "_type": "Sequence"}
        np.testing.assert_array_equal(np.array(table["soft_labels"].to_pylist(), np.float32), made.soft_labels)


def test_a_dataset_card_has_its_front_matter_and_the_record_of_the_run(tmp_path):
    yaml = pytest.importorskip("yaml")
    made = made_set()
    write_huggingface(made, tmp_path / "out")
    _, front, text = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["size_categories"] == ["n<1K"]
    assert "license" not in matter
    assert "# license:" in front
    (split,) = matter["configs"][0]["data_files"]
    assert split["split"] == "train"
    assert (tmp_path / "out" / split["path"]).is_file()
    record = text.split("```json\n")[1].split("```")[0]
    assert Run.model_validate_json(record).run_id == Run.model_validate_json(made.run).run_id
    assert "load_dataset(" in text
    assert "| 0 | T-shirt/top |" in text
    assert "clipped" in text


@pytest.mark.parametrize("write", [write_image_folder, write_huggingface])
def test_folders_of_this_machine_are_not_published(write, tmp_path):
    record = {"dataset": "fashion-mnist", "generator": {"kind": "stylegan", "path": "/home/someone/g.json"}}
    write(made_set(run=json.dumps(record)), tmp_path / "out")
    texts = [path.read_text() for path in (tmp_path / "out").iterdir() if path.suffix in (".json", ".md")]
    assert len(texts) == 1
    assert "g.json" in texts[0]
    assert "someone" not in texts[0]


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_with_something_in_it_is_left_alone(write, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine").write_text("kept")
    with pytest.raises(UserError, match="there is there and not empty: name a new folder"):
        write(made_set(), folder)
    with pytest.raises(UserError, match="mine is there and not empty"):
        write(made_set(), folder / "mine")
    with pytest.raises(UserError, match=r"cannot be written .Not a directory"):
        write(made_set(), folder / "mine" / "below")
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("write", WRITERS)
def test_an_empty_folder_and_one_that_is_not_there_are_filled(write, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "some" / "where"):
        write(made_set(), folder)
        assert any(folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "some"]


@pytest.mark.parametrize("write", [write_image_folder, write_huggingface])
def test_what_cannot_be_a_picture_or_has_no_record_leaves_nothing_behind(write, tmp_path):
    with pytest.raises(UserError, match="Images of 4 channels cannot be pictures"):
        write(made_set(channels=4), tmp_path / "out")
    for record in ("", "[]", "{}"):
        with pytest.raises(UserError, match="record of its run is damaged"):
            write(made_set(run=record), tmp_path / "out")
    assert not list(tmp_path.iterdir())
