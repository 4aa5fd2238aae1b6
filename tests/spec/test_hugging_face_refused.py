"""`hf:PATH` refuses a folder that is not one dataset, and says what is wrong and what to do."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from glad_ray.cli import main
from glad_ray.errors import DataError
from glad_ray.spec import dataset_facts
from tests.data.hub import card, configs, described, hub_cache, parquet, save_dataset, save_dict, sharded


def both_layouts(root):
    save_dict(root, train=[3], test=[2])
    parquet(root, {"data/train-00000-of-00001.parquet": 3})


def card_and_saved(root):
    save_dict(root, train=[3], test=[2])
    configs(root, "a")


def missing_member(root):
    save_dict(root, train=[2, 1], test=[2])
    (root / "train" / "data-00001-of-00002.arrow").unlink()


def missing_split(root):
    save_dict(root, train=[3], test=[2])
    shutil.rmtree(root / "test")


def copied(root, one, other, more):
    parquet(root, {one: 3} | more)
    shutil.copy(root / one, root / other)


def listed(root, *lines):
    card(root, "\n".join(["configs:", "- config_name: x", "  data_files:", *lines]))
    parquet(root, {"train.parquet": 3, "test.parquet": 2})


def dangling(root):
    (hub_cache(root) / "blobs" / "a1train").unlink()


def lfs_pointer(root):
    parquet(root, {"test.parquet": 2})
    (root / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")


def not_regular(root):
    parquet(root, {"test.parquet": 2})
    os.mkfifo(root / "train.parquet")


def card_of(text):
    return lambda root: (card(root, text), parquet(root, {"train.parquet": 3, "test.parquet": 2}))


TRAIN_AND_TEST = {"train": [3], "test": [2]}
REFUSED = {
    "no folder": (shutil.rmtree, "is not there: hf:PATH names a folder on the disk"),
    "empty": (lambda root: None, "has no .parquet or .arrow files"),
    "a single saved Dataset": (lambda root: save_dataset(root, [3]), "single saved Dataset, without splits"),
    "a split of a saved one": (
        lambda root: (save_dict(root.parent, own=[3]), (root / "state.json").exists()),
        "one split of a saved dataset: name the folder above it",
    ),
    "saved, by unknown names": (lambda root: save_dataset(root / "a", [3]), "whose name tells no split"),
    "saved, two of one split": (
        lambda root: [save_dataset(root / name, [3]) for name in ("train", "train_b")],
        "are both of the train split",
    ),
    "saved folds": (
        lambda root: [save_dict(root / fold, **TRAIN_AND_TEST) for fold in ("fold0", "fold1")],
        "more than one dataset.*fold0, hf:.*fold1",
    ),
    "saved and Parquet": (both_layouts, "and Parquet files"),
    "saved and a card": (card_and_saved, "README.md lists the files of a dataset, and so does .*dataset_dict.json"),
    "saved, a file missing": (missing_member, r"data-00001-of-00002\.arrow is missing and .*state\.json lists it"),
    "saved, a split missing": (missing_split, r"test/state\.json is missing"),
    "saved, rows chosen": (
        lambda root: (
            save_dict(root, **TRAIN_AND_TEST),
            save_dataset(root / "train", [3], _indices_files=[{"filename": "indices.arrow"}]),
        ),
        "chooses rows by _indices_files",
    ),
    "saved, rows taken": (
        lambda root: (
            save_dict(root, **TRAIN_AND_TEST),
            save_dataset(root / "train", [3], _data_files=[{"filename": "a.arrow", "skip": 1}]),
        ),
        "lists no data files by name alone",
    ),
    "saved, damaged list": (
        lambda root: (save_dict(root, **TRAIN_AND_TEST), (root / "train" / "state.json").write_text("{")),
        r"state\.json is damaged",
    ),
    "two configurations": (
        lambda root: parquet(root, {f"{name}/{split}.parquet": 3 for name in "ab" for split in ("train", "test")}),
        "more than one dataset or configuration, in hf:.*/a, hf:.*/b: name the folder of one",
    ),
    "two layouts": (
        lambda root: parquet(root, sharded("train", 3) | sharded("test", 2) | {"validation.parquet": 2}),
        "more than one dataset",
    ),
    "sizes below the splits": (
        lambda root: parquet(root, {f"{s}/{n}px/0.parquet": n for s in ("train", "test") for n in (16, 32)}),
        "train split are not one series",
    ),
    "folds of a split": (
        lambda root: parquet(root, {"train/fold0.parquet": 3, "train/fold1.parquet": 3, "test.parquet": 2}),
        "train split are not one series",
    ),
    "versions": (
        lambda root: parquet(root, {"train_v1.parquet": 3, "train_v2.parquet": 3, "test.parquet": 2}),
        "train split are not one series",
    ),
    "sizes": (
        lambda root: parquet(root, {"train_16.parquet": 3, "train_32.parquet": 3, "test.parquet": 2}),
        "train split are not one series",
    ),
    "old beside new": (
        lambda root: parquet(root, sharded("train", 3) | sharded("train", 2, 1) | sharded("test", 2)),
        "of different length .*00000-of-00001.*00000-of-00002",
    ),
    "the same shard twice": (
        lambda root: parquet(
            root,
            {f"data/train-00000-of-00001-{digit * 16}.parquet": 3 for digit in "ab"} | sharded("test", 2),
        ),
        "are the same shard",
    ),
    "a shard missing": (
        lambda root: (
            (parquet(root, sharded("train", 2, 2, 2) | sharded("test", 2)) / "data")
            .joinpath("train-00001-of-00003.parquet")
            .unlink()
        ),
        r"lacks shards of the series of train-00000-of-00003\.parquet: number 1",
    ),
    "the first shard missing": (
        lambda root: parquet(root, {"train-00001-of-00002.parquet": 3, "test.parquet": 2}),
        "number 0",
    ),
    "a numbered one missing": (
        lambda root: parquet(root, {"train/0000.parquet": 3, "train/0002.parquet": 3, "test.parquet": 2}),
        "number 1;",
    ),
    "a part of a split": (
        lambda root: parquet(root, {"default/partial-train/0000.parquet": 3, "default/test/0000.parquet": 2}),
        "only a part of the train split",
    ),
    "no split": (
        lambda root: parquet(root, {"train.parquet": 3, "test.parquet": 2, "latest.parquet": 4}),
        r"latest\.parquet .*tell no split",
    ),
    "two splits in a path": (
        lambda root: parquet(root, {"test_set/train.parquet": 3, "test_set/test.parquet": 2}),
        r"more than one split \(test, train\)",
    ),
    "no test": (
        lambda root: parquet(root, sharded("train", 3) | sharded("extra", 3)),
        "of a test split, but of extra, train",
    ),
    "a file twice": (
        lambda root: copied(root, "train_0.parquet", "train_1.parquet", {"test.parquet": 2}),
        "have the same content",
    ),
    "a training file to test on": (lambda root: copied(root, "train.parquet", "test.parquet", {}), "the same content"),
    "revisions": (lambda root: hub_cache(root, ("a1", "b2")), "2 revisions .*snapshots/a1, hf:.*snapshots/b2"),
    "a link to nothing": (dangling, r"is missing; it is a link to .*a1train"),
    "Git LFS": (lfs_pointer, "git lfs pull"),
    "no regular file": (not_regular, "not a regular file"),
    "card, file missing": (
        lambda root: listed(root, "  - {split: train, path: train.parquet}", "  - {split: test, path: 'gone-*'}"),
        "lists gone-.* for the test split",
    ),
    "card, file twice": (
        lambda root: listed(
            root, "  - {split: train, path: ['t*n.parquet', train.parquet]}", "  - {split: test, path: te*}"
        ),
        r"train\.parquet more than once",
    ),
    "card, file in two splits": (
        lambda root: listed(root, "  - {split: train, path: train.parquet}", "  - {split: test, path: tr*}"),
        r"train\.parquet more than once",
    ),
    "card, split twice": (
        lambda root: listed(root, "  - {split: train, path: a}", "  - {split: train, path: b}"),
        "a split of the configuration 'x' twice",
    ),
    "card, no test": (lambda root: listed(root, "  - train.parquet"), "of a test split, but of train"),
    "card, outside": (
        lambda root: listed(root, "  - {split: train, path: ../a.parquet}", "  - {split: test, path: b}"),
        "outside of its folder",
    ),
    "card, shards of two counts": (
        lambda root: (
            card(
                root,
                "configs:\n- {config_name: x, data_files: "
                "[{split: train, path: data/train-*}, {split: test, path: data/test*}]}",
            ),
            parquet(root, sharded("train", 3) | sharded("train", 2, 1) | sharded("test", 2)),
        ),
        "of different length",
    ),
    "card, two defaults": (
        lambda root: configs(root, "a", "b", a=["default: true"], b=["default: true"]),
        r"more than one default \(a, b\)",
    ),
    "card, configuration twice": (lambda root: configs(root, "a", "a"), "lists the configuration a more than once"),
    "card, no YAML": (card_of("configs: ["), "not valid YAML"),
    "card, key twice": (card_of("configs: []\nconfigs: []"), "the key configs is there twice"),
    "card, another form": (card_of("configs:\n- {config_name: x, data_files: {a: b}}"), "not understood at configs"),
    "card, other count": (card_of(described("no", 4)), r"have 3 images, and .*README\.md says 4"),
    "card, other classes": (card_of(described("maybe", 3)), "name other classes of label"),
    "several images": (
        lambda root: parquet(root, {"train.parquet": 3, "test.parquet": 2}, more=[("mask", "Image")]),
        r"several columns of images \(image, mask\)",
    ),
    "several labels": (
        lambda root: parquet(root, {"train.parquet": 3, "test.parquet": 2}, more=[("sex", "ClassLabel")]),
        r"several columns of labels \(label, sex\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_one_dataset_is_refused(case, tmp_path):
    make, told = REFUSED[case]
    root = tmp_path / "own"
    root.mkdir()
    make(root)
    with pytest.raises(DataError, match=told) as caught:
        dataset_facts(f"hf:{root}")
    assert str(root) in str(caught.value)


def test_a_configuration_without_a_card_is_refused(tmp_path):
    parquet(tmp_path, {"a/train.parquet": 3, "a/test.parquet": 2})
    with pytest.raises(DataError, match=r"no README\.md that lists a configuration 'a'"):
        dataset_facts(f"hf:{tmp_path}@a")


def test_a_command_says_so_and_writes_nothing(tmp_path, capsys):
    parquet(tmp_path / "own", {f"{name}/{split}.parquet": 3 for name in "ab" for split in ("train", "test")})
    dataset = f"hf:{tmp_path / 'own'}"
    assert main(("distill", "--dataset", dataset, "--storage", str(tmp_path / "kept"))) == 2
    said = capsys.readouterr()
    assert "more than one dataset" in said.err
    assert "Traceback" not in said.out + said.err
    assert not (tmp_path / "kept").exists()


@pytest.fixture
def without_rights():
    """A folder for a process that may not read everything."""
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    if user == 0:
        folder.chmod(0o755)
    yield folder, lambda: os.seteuid(65534) if user == 0 else None
    os.seteuid(user)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("locked", ["train", "train/0000.parquet"])
def test_what_may_not_be_read_is_no_damage(locked, without_rights):
    root, enter = without_rights
    parquet(root, {"train/0000.parquet": 3, "test/0000.parquet": 2})
    (root / locked).chmod(0)
    enter()
    with pytest.raises(DataError, match=rf"{locked} cannot be read \(Permission denied\)") as caught:
        dataset_facts(f"hf:{root}")
    assert "fetch" not in str(caught.value)
