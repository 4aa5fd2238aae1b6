import csv
import io
import json
from importlib.resources import files

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torchvision.datasets.imagenette import Imagenette
from torchvision.models._meta import _IMAGENET_CATEGORIES

from glad_ray.errors import DataError, UserError
from glad_ray.spec import DATASETS, DM, Run, dataset_facts
from glad_ray.spec.datasets.imagenet import IMAGENET_CLASSES

TEN_CLASSES = [name for name, facts in DATASETS.items() if facts.imagenet_indices and facts.classes == 10]


def _png(size=(8, 8), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", DATASETS)
def test_facts_are_consistent(name):
    facts = DATASETS[name]
    assert facts.name == name
    assert len(set(facts.class_names)) == facts.classes
    assert len(facts.mean) == len(facts.std) == facts.channels
    assert facts.train_images > facts.test_images >= facts.classes
    assert facts.statistics
    assert facts.obtain
    assert not facts.obtain.endswith(".")
    if facts.imagenet_indices:
        assert facts.class_names == tuple(IMAGENET_CLASSES[index].name for index in facts.imagenet_indices)


def test_the_published_numbers_name_known_datasets():
    with (files("glad_ray.report.published") / "published.csv").open() as file:
        names = {row["dataset"] for row in csv.DictReader(file)}
    assert names <= set(DATASETS)


def test_imagenet_classes_are_torchvisions_in_the_order_of_their_folders():
    assert [each.name for each in IMAGENET_CLASSES] == _IMAGENET_CATEGORIES
    wnids = [each.wnid for each in IMAGENET_CLASSES]
    assert wnids == sorted(set(wnids))
    assert len(wnids) == 1000


def test_ids_and_names_belong_together():
    torchvisions = {wnid: names[0] for wnid, names in Imagenette._WNID_TO_CLASS.items()}
    ours = dataset_facts("imagenette-fastai")
    assert {
        IMAGENET_CLASSES[index].wnid: IMAGENET_CLASSES[index].name for index in ours.imagenet_indices
    } == torchvisions
    by_wnid = {each.wnid: each.name for each in IMAGENET_CLASSES}
    # One of each hundred, as WordNet has them.
    for wnid, name in {
        "n01818515": "macaw", "n02112018": "Pomeranian", "n02133161": "American black bear", "n02391049": "zebra",
        "n02814533": "beach wagon", "n03259280": "Dutch oven", "n03692522": "loupe", "n04120489": "running shoe",
        "n04507155": "umbrella", "n07753592": "banana", "n15075141": "toilet tissue",
    }.items():  # fmt: skip
        assert by_wnid[wnid] == name


@pytest.mark.parametrize("name", TEN_CLASSES)
def test_no_subset_repeats_another(name):
    own = set(DATASETS[name].imagenet_indices)
    assert len(own) == 10
    same = {other for other in TEN_CLASSES if set(DATASETS[other].imagenet_indices) == own}
    assert same in ({name}, {"imagenette", "imagenette-fastai"}, {"imagewoof", "imagewoof-fastai"})


def test_the_two_imagenet_e():
    assert dataset_facts("imagenet-e").class_names[:3] == ("spindle", "toucan", "black swan")
    assert dataset_facts("imagenet-e-table").class_names == (
        "axolotl", "tree frog", "king snake", "American chameleon", "common iguana", "eft",
        "European fire salamander", "box turtle", "American alligator", "agama",
    )  # fmt: skip


def test_counts_that_are_estimates_say_so():
    assert dataset_facts("imagenet").train_images == 1281167
    assert dataset_facts("imagenet").train_images_exact
    assert dataset_facts("imagenette").train_images_exact
    facts = dataset_facts("imagenet-a")
    assert (facts.train_images, facts.train_images_exact, facts.test_images) == (12812, False, 500)


def test_a_run_takes_the_resolution_of_its_dataset():
    assert Run(dataset="imagenet-a", algorithm=DM()).pixels == 128
    assert Run(dataset="cifar10", algorithm=DM()).pixels == 32
    assert Run(dataset="tiny-imagenet", algorithm=DM()).pixels == 64


def test_a_name_that_is_nearly_right():
    with pytest.raises(UserError, match="Did you mean 'imagenet-fruits'"):
        dataset_facts("imagenet-fruit")
    with pytest.raises(UserError, match="Unknown dataset"):
        dataset_facts("folders:/data")


@pytest.fixture
def tree(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "ant", "bee"):
            folder = tmp_path / "own" / split / name
            folder.mkdir(parents=True)
            for number in range(2 if split == "train" else 1):
                (folder / f"{number}.png").write_bytes(_png())
    return tmp_path / "own"


def test_facts_of_a_folder_are_read_there(tree):
    facts = dataset_facts(f"folder:{tree}")
    assert (facts.title, facts.class_names) == ("own", ("ant", "bee", "cat"))
    assert (facts.train_images, facts.test_images) == (6, 3)
    assert (facts.channels, facts.resolution, facts.many_sizes) == (3, 8, False)
    assert facts.imagenet_indices == ()
    assert Run(dataset=f"folder:{tree}", algorithm=DM()).pixels == 8


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("I;16", 1), ("P", 1), ("RGB", 3), ("RGBA", 3)]
)
def test_a_folder_is_grey_if_all_images_looked_at_are(mode, channels, tree):
    for path in tree.rglob("*.png"):
        path.write_bytes(_png(mode="L"))
    (tree / "train" / "bee" / "1.png").write_bytes(_png(mode=mode))
    facts = dataset_facts(f"folder:{tree}")
    assert facts.channels == len(facts.mean) == len(facts.std) == channels


@pytest.mark.parametrize("size", [(9, 9), (8, 9)])
def test_images_of_many_sizes_have_a_default_resolution(size, tree):
    (tree / "train" / "bee" / "0.png").write_bytes(_png(size))
    facts = dataset_facts(f"folder:{tree}")
    assert (facts.resolution, facts.many_sizes) == (128, True)


def test_test_comes_before_val(tree):
    for name in ("ant", "bee", "cat"):
        folder = tree / "test" / name
        folder.mkdir(parents=True)
        for number in range(5):
            (folder / f"{number}.png").write_bytes(_png())
    assert dataset_facts(f"folder:{tree}").test_images == 15


def _empty(folder):
    for path in folder.iterdir():
        path.unlink()


FOLDER_FAULTS = {
    "nothing": (lambda tree: (tree / "val").rename(tree / "other"), "no folder with images to train and to test on"),
    "no classes": (
        lambda tree: [path.rename(tree / path.name) for path in (tree / "val").iterdir()],
        "val has no class folders",
    ),
    "other classes": (lambda tree: (tree / "val" / "ant").rename(tree / "val" / "dog"), r"train alone \(ant, dog\)"),
    "empty class": (lambda tree: _empty(tree / "train" / "bee"), r"train/bee is empty: put the images"),
    "no image": (lambda tree: (tree / "train" / "bee" / "0.png").write_text("hello"), r"bee/0\.png is no image"),
    "hidden files": (
        lambda tree: [path.rename(path.with_name(f".{path.name}")) for path in (tree / "train" / "bee").iterdir()],
        "is empty",
    ),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_faults_of_a_folder_are_told(fault, tree):
    change, told = FOLDER_FAULTS[fault]
    change(tree)
    with pytest.raises(DataError, match=told) as caught:
        dataset_facts(f"folder:{tree}")
    assert str(tree) in str(caught.value)


def _table(rows, names=("no", "yes"), image=True):
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}}}
    cell = {"bytes": _png(), "path": None} if image else {"bytes": None, "path": "0.png"}
    table = pa.table({"image": [cell] * rows, "label": [row % 2 for row in range(rows)]})
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def test_facts_of_parquet_are_read_there(tmp_path):
    folder = tmp_path / "pets" / "data"
    folder.mkdir(parents=True)
    pq.write_table(_table(4), folder / "train-00000-of-00002.parquet")
    pq.write_table(_table(3), folder / "train-00001-of-00002.parquet")
    pq.write_table(_table(2), folder / "validation-00000-of-00001.parquet")
    facts = dataset_facts(f"hf:{tmp_path / 'pets'}")
    assert (facts.title, facts.class_names) == ("pets", ("no", "yes"))
    assert (facts.train_images, facts.test_images) == (7, 2)
    assert (facts.channels, facts.resolution, facts.many_sizes) == (3, 8, False)


def test_test_files_come_before_validation_files(tmp_path):
    for split, rows in {"train": 2, "validation": 3, "test": 4}.items():
        pq.write_table(_table(rows), tmp_path / f"{split}.parquet")
    assert dataset_facts(f"hf:{tmp_path}").test_images == 4


HF_FAULTS = {
    "no test": ({"train": _table(2)}, "has no .parquet or .arrow files of a test split"),
    "no names": ({"train": _table(2, names=()), "test": _table(2)}, "no column of labels"),
    "no metadata": ({"train": _table(2).replace_schema_metadata(None), "test": _table(2)}, "no column of labels"),
    "odd metadata": (
        {"train": _table(2).replace_schema_metadata({"huggingface": "[["}), "test": _table(2)},
        "no column of labels",
    ),
    "other classes": ({"train": _table(2, names=("a", "b")), "test": _table(2)}, "different columns or classes"),
    "no bytes": ({"train": _table(2, image=False), "test": _table(2)}, "row 0 of .* has no image, only its path"),
    "no rows": ({"train": _table(0), "test": _table(2)}, "has no"),
}


@pytest.mark.parametrize("fault", HF_FAULTS)
def test_faults_of_parquet_are_told(fault, tmp_path):
    tables, told = HF_FAULTS[fault]
    for split, table in tables.items():
        pq.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(DataError, match=told) as caught:
        dataset_facts(f"hf:{tmp_path}")
    assert str(tmp_path) in str(caught.value)


def test_a_damaged_parquet_file_is_named(tmp_path):
    pq.write_table(_table(2), tmp_path / "test.parquet")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"train\.parquet is damaged"):
        dataset_facts(f"hf:{tmp_path}")
