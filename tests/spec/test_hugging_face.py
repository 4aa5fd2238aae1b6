"""`hf:PATH` reads the one dataset that a folder lists or names."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glad_ray.errors import DataError
from glad_ray.spec import DM, Run, dataset_facts
from tests.data.hub import (
    CLASSES,
    KIND,
    arrow,
    card,
    configs,
    described,
    hub_cache,
    parquet,
    save_dataset,
    save_dict,
    sharded,
    table,
)
from tests.data.trees import encoded, noise


def counts(root):
    facts = dataset_facts(f"hf:{root}")
    assert facts.class_names == CLASSES
    return facts.train_images, facts.test_images


def prepared(root):
    """As `load_dataset` keeps a dataset in its cache, with that of `map`."""
    for number, (split, rows) in enumerate({"train": 3, "test": 2}.items()):
        arrow(root / f"pets-{split}.arrow", rows, number)
    arrow(root / "cache-55257c8d18a61e93.arrow", 3, 2)
    splits = {"train": {"name": "train", "num_examples": 3}, "test": {"name": "test", "num_examples": 2}}
    (root / "dataset_info.json").write_text(json.dumps({"features": {}, "splits": splits}))


def linked(root):
    parquet(root.parent / "elsewhere", {"train/0000.parquet": 3, "test/0000.parquet": 2})
    (root / "data").mkdir()
    for split in ("train", "test"):
        (root / "data" / split).symlink_to(root.parent / "elsewhere" / split)
    (root / "data" / "round").symlink_to(root)
    (root / "data" / "itself").symlink_to("itself")


def other_formats(root):
    for split, rows in {"train": 3, "test": 2}.items():
        made = table(rows, seed=rows)
        with pa.OSFile(str(root / f"{split}.arrow"), "wb") as sink, pa.ipc.new_file(sink, made.schema) as writer:
            writer.write_table(made)


ONE_DATASET = {
    "shards of the hub": lambda root: parquet(root, sharded("train", 2, 1) | sharded("test", 2)),
    "shards with digits of their content": lambda root: parquet(
        root,
        {
            "data/train-00000-of-00002-1359597a978bc4fa.parquet": 2,
            "data/train-00001-of-00002-70d52db3c749a935.parquet": 1,
            "data/valid-00000-of-00001-70d52db3c749a935.parquet": 2,
        },
    ),
    "a configuration's folder": lambda root: parquet(
        root, {"plain_text/train-00000-of-00001.parquet": 3, "plain_text/test-00000-of-00001.parquet": 2}
    ),
    "the hub's own Parquet": lambda root: parquet(
        root,
        {
            "default/train/0000.parquet": 2,
            "default/train/0001.parquet": 1,
            "default/test/0000.parquet": 2,
            "default/extra/0000.parquet": 9,
        },
    ),
    "numbered": lambda root: parquet(root, {"train_0.parquet": 2, "train_1.parquet": 1, "my-test.parquet": 2}),
    "parts": lambda root: parquet(root, {"train/part-1.parquet": 2, "train/part-2.parquet": 1, "test/a.parquet": 2}),
    "other words": lambda root: parquet(root, {"training.parquet": 3, "evaluation.parquet": 2, "dev.parquet": 9}),
    "upper case": lambda root: parquet(root, {"TRAIN.PARQUET": 3, "Test.Parquet": 2}),
    "hidden files beside": lambda root: parquet(
        root,
        {"train.parquet": 3, "test.parquet": 2, ".train.parquet": 9, ".old/train.parquet": 9, "__a__/test.parquet": 9},
    ),
    "a saved DatasetDict": lambda root: save_dict(root, train=[2, 1], test=[2]),
    "saved Datasets by split": lambda root: (save_dataset(root / "train", [3]), save_dataset(root / "test", [2], 9)),
    "the library's cache": prepared,
    "Arrow's file format": other_formats,
    "the hub's cache": hub_cache,
    "a snapshot": lambda root: hub_cache(root / "x").joinpath("snapshots", "a1"),
    "links": linked,
    "an empty file": lambda root: parquet(root, sharded("train", 2, 0, 1, 0) | sharded("test", 2)),
}


@pytest.mark.parametrize("case", ONE_DATASET)
def test_one_dataset_is_read(case, tmp_path):
    root = tmp_path / "own"
    root.mkdir()
    ONE_DATASET[case](root)
    assert counts(root) == (3, 2)


def test_only_what_state_lists_is_data(tmp_path):
    save_dict(tmp_path, train=[2, 1], test=[2], validation=[4])
    for name in ("cache-55257c8d18a61e93.arrow", "mine.arrow", "data-00002-of-00003.arrow"):
        arrow(tmp_path / "train" / name, 5, 50)
    save_dataset(tmp_path / "train_old", [7])
    assert counts(tmp_path) == (3, 2)


@pytest.mark.parametrize("folder", ["a b", "pets@home", "a@b@c"])
def test_a_configuration_of_the_card_is_named_after_the_folder(folder, tmp_path):
    root = configs(tmp_path / folder, "16px", "32px")
    files = {
        f"{name}px/{split}-0.parquet": name // size for name in (16, 32) for split, size in (("train", 1), ("test", 2))
    }
    parquet(root, files)
    facts = dataset_facts(f"hf:{root}@32px")
    assert (facts.train_images, facts.test_images) == (32, 16)
    assert facts.title == f"{folder} (32px)"
    assert "configuration 16px" in facts.note
    assert counts(root / "16px") == (16, 8)
    with pytest.raises(DataError, match=r"several configurations.*16px, 32px.*@16px"):
        dataset_facts(f"hf:{root}")
    with pytest.raises(DataError, match=r"no configuration '64px'.*16px, 32px"):
        dataset_facts(f"hf:{root}@64px")


@pytest.mark.parametrize(("names", "more"), [(("default", "b"), {}), (("b", "c"), {"c": ["default: true"]})])
def test_the_default_configuration_is_read_and_told(names, more, tmp_path):
    configs(tmp_path, *names, **more)
    chosen = "c" if more else "default"
    parquet(tmp_path, {f"{chosen}/train-0.parquet": 3, f"{chosen}/test-0.parquet": 2})
    facts = dataset_facts(f"hf:{tmp_path}")
    assert (facts.train_images, facts.test_images) == (3, 2)
    assert f"configuration {chosen} (the default)" in facts.note


PATTERNS = {
    "a list": ("[z.parquet, y.parquet]", ["z.parquet", "y.parquet"]),
    "one folder's": ("'./[yz].parquet'", ["z.parquet", "y.parquet"]),
    "any folder's": ("[z.parquet, 'deep/**']", ["z.parquet", "deep/er/y.parquet"]),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_the_files_that_the_card_lists_are_read(case, tmp_path):
    train, names = PATTERNS[case]
    splits = f"[{{split: train, path: {train}}}, {{split: test, path: x.parquet}}]"
    card(tmp_path, f"configs:\n- {{config_name: x, data_files: {splits}}}")
    parquet(tmp_path, dict(zip(names, (2, 1), strict=True)) | {"x.parquet": 2, "other/train.parquet": 9})
    assert counts(tmp_path) == (3, 2)


def test_a_folder_that_the_card_names_is_read_by_the_names_in_it(tmp_path):
    card(tmp_path, "configs:\n- config_name: x\n  data_dir: a")
    parquet(tmp_path, {"a/train.parquet": 3, "a/test.parquet": 2, "b/train.parquet": 9, "b/test.parquet": 9})
    assert counts(tmp_path) == (3, 2)


def test_the_card_of_the_only_dataset_below_a_folder_is_read(tmp_path):
    root = card(
        tmp_path / "pets",
        "configs:\n- {config_name: x, data_files: [{split: train, path: train-a*}, {split: test, path: test*}]}",
    )
    parquet(root, {"train-a.parquet": 3, "train-b.parquet": 9, "test.parquet": 2})
    assert counts(tmp_path) == (3, 2)


def test_the_card_names_the_classes_where_the_files_do_not(tmp_path):
    card(tmp_path, described("no", 3))
    parquet(tmp_path, {"train.parquet": 3, "test.parquet": 2}, features=False)
    assert counts(tmp_path) == (3, 2)


COLUMNS = {
    "other names": {"image": "picture", "label": "species"},
    "coarser labels beside": {"label": "fine_label", "more": [("coarse_label", "ClassLabel")]},
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_are_found_by_their_features(case, tmp_path):
    parquet(tmp_path, {"train.parquet": 3, "test.parquet": 2}, **COLUMNS[case])
    assert counts(tmp_path) == (3, 2)


def test_what_is_left_out_is_told_and_the_id_stays_that_of_the_path(tmp_path):
    parquet(tmp_path, {"train.parquet": 3, "test.parquet": 2, "validation.parquet": 4})
    assert "split validation" in dataset_facts(f"hf:{tmp_path}").note
    name = f"hf:{tmp_path}"
    run = Run(algorithm=DM(), dataset=name)
    assert run.run_id == run.replace(own_dataset=dataset_facts(name)).run_id


def test_what_images_look_like_is_not_told_by_the_first_alone(tmp_path):
    """Here the first is grey and square, and one of the test images neither."""
    cells = [encoded(noise((8, 8), seed, grey=True)) for seed in range(6)] + [encoded(noise((8, 10), 6))]
    for split, rows in (("train", cells[:4]), ("test", cells[4:])):
        made = table(len(rows), 0)
        images = pa.array([{"bytes": cell, "path": None} for cell in rows], KIND)
        pq.write_table(made.set_column(0, made.schema.field("image"), images), tmp_path / f"{split}-0.parquet")
    facts = dataset_facts(f"hf:{tmp_path}")
    assert (facts.channels, facts.many_sizes) == (3, True)
