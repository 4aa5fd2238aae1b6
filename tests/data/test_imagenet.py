from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from glad_ray.data import load_dataset
from glad_ray.data.prepare import CACHE_VARIABLE
from glad_ray.errors import DataError, UserError
from glad_ray.spec import DATASETS
from glad_ray.spec.datasets.imagenet import IMAGENET_CLASSES
from tests.data.trees import encoded, noise, wnids, write_classes

SIDE = 8


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    """Ten or two hundred classes of two training images and one test image; a cache of its own."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    for name, facts in DATASETS.items():
        if facts.imagenet_indices:
            small = replace(facts, train_images=2 * facts.classes, test_images=facts.classes)
            monkeypatch.setitem(DATASETS, name, small)


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE))).transpose(2, 0, 1).astype(int)


def _write(root, name, train=2, val=1, **options):
    ids = wnids(DATASETS[name])
    write_classes(root, {"train": dict.fromkeys(ids, train), "val": dict.fromkeys(ids, val)}, **options)
    return ids


@pytest.mark.parametrize("name", ["imagenet-fruits", "imagenet-e", "imagenette", "imagewoof-fastai"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_labels_follow_the_list_of_the_subset(name, form, tmp_path):
    ids = _write(tmp_path / "root", name, size=(SIDE, SIDE), form=form)
    dataset = load_dataset(name, resolution=SIDE, root=tmp_path / "root")
    assert np.array_equal(dataset.train_labels, np.repeat(np.arange(10), 2))
    assert np.array_equal(dataset.test_labels, np.arange(10))
    for label, wnid in enumerate(ids):
        files = sorted((tmp_path / "root" / "train" / wnid).iterdir())
        assert np.array_equal(dataset.train_images[dataset.train_labels == label], [_pixels(path) for path in files])
        (test,) = (tmp_path / "root" / "val" / wnid).iterdir()
        assert np.array_equal(dataset.test_images[label], _pixels(test))


def test_other_classes_beside_it_do_not_matter(tmp_path):
    ids = _write(tmp_path, "imagenette")
    other = {each.wnid for each in IMAGENET_CLASSES[:20]} - set(ids)
    write_classes(tmp_path, {"train": dict.fromkeys(other, 1), "val": dict.fromkeys(other, 1)})
    assert len(load_dataset("imagenette", resolution=SIDE, root=tmp_path).train_labels) == 20


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("imagenet-a", "."), ("imagenet-a", "imagenet"), ("imagenet-a", "ImageNet"), ("imagenet-a", "ILSVRC2012"),
        ("imagenette-fastai", "imagenette2"), ("imagewoof-fastai", "imagewoof2"),
    ],
)  # fmt: skip
def test_every_folder_is_found(name, folder, tmp_path, monkeypatch):
    _write(tmp_path / "root" / folder, name)
    monkeypatch.setenv("GLAD_RAY_DATA", str(tmp_path / "root"))
    assert load_dataset(name, resolution=SIDE).train_images.shape == (20, 3, SIDE, SIDE)


def _devkit(root, order):
    """The development kit: classes 1 to 1000, and those of the validation images."""
    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    # Its numbers are not the indices.
    numbers = {each.wnid: number for number, each in enumerate(reversed(IMAGENET_CLASSES), 1)}
    synsets = np.zeros(1000, [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)])
    for row, (wnid, number) in enumerate(numbers.items()):
        synsets[row] = (number, wnid, "words")
    savemat(folder / "meta.mat", {"synsets": synsets[:, None]})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{numbers[wnid]}\n" for wnid in order))
    return folder


def _flat(root, name):
    """Validation images in one folder, in another order than their classes; returns the classes in that order."""
    ids = _write(root, name)
    order = [ids[place] for place in np.random.default_rng(0).permutation(10)]
    for number, wnid in enumerate(order):
        (path,) = (root / "val" / wnid).iterdir()
        path.rename(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
        (root / "val" / wnid).rmdir()
    return ids, order


def test_a_flat_validation_folder_is_sorted_by_the_development_kit(tmp_path):
    ids, order = _flat(tmp_path, "imagenet-b")
    _devkit(tmp_path, order)
    dataset = load_dataset("imagenet-b", resolution=9, root=tmp_path)
    by_name = sorted((tmp_path / "val").iterdir())
    for label, wnid in enumerate(ids):
        with Image.open(by_name[order.index(wnid)]) as image:
            # 12 x 9 pixels.
            assert np.array_equal(dataset.test_images[label], np.asarray(image).transpose(2, 0, 1)[:, :, 2:11])


def test_a_flat_validation_folder_alone_says_how_to_sort_it(tmp_path):
    _flat(tmp_path, "imagenet-b")
    with pytest.raises(DataError, match="has no folders of classes: sort its images into val/<wnid> with") as caught:
        load_dataset("imagenet-b", resolution=SIDE, root=tmp_path)
    assert "\n" not in str(caught.value)


DEVKITS = {
    "one line less": ("ILSVRC2012_validation_ground_truth.txt", b"7\n" * 9, "it has 9 lines and val has 10 images"),
    "other text": ("ILSVRC2012_validation_ground_truth.txt", b"seven\n" * 10, "does not hold a class from 1 to 1000"),
    "class 1001": ("ILSVRC2012_validation_ground_truth.txt", b"1001\n" * 10, "does not hold a class from 1 to 1000"),
    "no matlab": ("meta.mat", b"<html>", "is no MATLAB file of version 5 with synsets"),
}


@pytest.mark.parametrize("case", DEVKITS)
def test_a_damaged_development_kit_is_named(case, tmp_path):
    _, order = _flat(tmp_path, "imagenet-b")
    name, content, told = DEVKITS[case]
    (_devkit(tmp_path, order) / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        load_dataset("imagenet-b", resolution=SIDE, root=tmp_path)
    assert name in str(caught.value)


def _remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


FAULTS = {
    "class missing": (lambda root, wnid: _remove(root / "train" / wnid), "cannot be read .* put the images"),
    "class empty": (lambda root, wnid: [path.unlink() for path in (root / "val" / wnid).iterdir()], "is empty"),
    "test missing": (lambda root, wnid: (root / "val").rename(root / "test"), "val cannot be read"),
    "too few": (lambda root, wnid: (root / "train" / wnid / f"{wnid}_0.png").unlink(), "19 train images and ImageNet"),
    "too many": (
        lambda root, wnid: (root / "val" / wnid / "more.png").write_bytes(encoded(noise((9, 9)))),
        "has 11 test images and ImageNette has 10: fetch it again",
    ),
    "no image": (
        lambda root, wnid: (root / "train" / wnid / f"{wnid}_0.png").write_text("<html>"),
        r"_0\.png is no image that can be read \(JPEG, PNG, .*\): save it as PNG .*, or move it elsewhere",
    ),
    "cut image": (
        lambda root, wnid: (root / "train" / wnid / f"{wnid}_0.png").write_bytes(encoded(noise((30, 30)))[:-900]),
        r"_0\.png is no whole image \(.*\): fetch it again, or remove it",
    ),
    "folder": (
        lambda root, wnid: [
            (root / "train" / wnid / f"{wnid}_0.png").unlink(), (root / "train" / wnid / "more").mkdir(),
        ],
        "more is a folder among the images of a class: move it elsewhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_with_their_place(fault, tmp_path):
    change, told = FAULTS[fault]
    ids = _write(tmp_path, "imagenette")
    change(tmp_path, ids[3])
    with pytest.raises(DataError, match=told) as caught:
        load_dataset("imagenette", resolution=SIDE, root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_imagenet_in_fast_ais_stead_is_refused(tmp_path, monkeypatch):
    _write(tmp_path, "imagenette-fastai")
    monkeypatch.setitem(DATASETS, "imagenette-fastai", replace(DATASETS["imagenette-fastai"], test_images=3925))
    with pytest.raises(DataError, match=r"10 test images and Imagenette of fast\.ai has 3925"):
        load_dataset("imagenette-fastai", resolution=SIDE, root=tmp_path)


@pytest.mark.parametrize("name", ["imagenet-a", "tiny-imagenet", "imagewoof-fastai"])
def test_nothing_found_says_where_and_how(name, tmp_path):
    with pytest.raises(UserError, match="was not found") as caught:
        load_dataset(name, resolution=SIDE, root=tmp_path / "here")
    for told in (str(tmp_path / "here"), "GLAD_RAY_DATA", DATASETS[name].title):
        assert told in str(caught.value)


@pytest.fixture
def tiny(tmp_path):
    """Tiny ImageNet: a folder `images` per class to train on, one for all to test on, with a table."""
    root = tmp_path / "tiny-imagenet-200"
    ids = wnids(DATASETS["tiny-imagenet"])
    write_classes(root, {"train": {f"{wnid}/images": 2 for wnid in ids}}, size=(SIDE, SIDE))
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for number, wnid in enumerate(reversed(ids)):
        (root / "val" / "images" / f"val_{number}.JPEG").write_bytes(encoded(noise((SIDE, SIDE), number)))
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


def test_tiny_imagenet_is_read(tiny, tmp_path):
    dataset = load_dataset("tiny-imagenet", resolution=SIDE, root=tmp_path)
    assert dataset.train_images.shape == (400, 3, SIDE, SIDE)
    assert np.array_equal(dataset.test_labels, np.arange(200))
    # The last image of the table is of the first class.
    assert np.array_equal(dataset.test_images[0], np.asarray(noise((SIDE, SIDE), 199)).transpose(2, 0, 1))
    assert dataset.class_names[:2] == ("goldfish", "European fire salamander")


TABLES = {
    "other class": ("val_0.JPEG\tn00000000\t0\t0\t1\t1\n", "line 1 does not name an image and one of the 200 classes"),
    "no class": ("val_0.JPEG\n", "line 1 does not name"),
    "a path": ("../val_0.JPEG\tn01443537\n", "line 1 does not name"),
    "no such file": ("nothing.JPEG\tn01443537\n" * 200, r"nothing\.JPEG cannot be read"),
    "fewer": ("val_0.JPEG\tn01443537\n", "has 1 test images and Tiny ImageNet has 200"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_table_is_told(case, tiny, tmp_path):
    content, told = TABLES[case]
    (tiny / "val" / "val_annotations.txt").write_text(content)
    with pytest.raises(DataError, match=told):
        load_dataset("tiny-imagenet", resolution=SIDE, root=tmp_path)


def test_tiny_imagenet_without_its_table_is_told(tiny, tmp_path):
    (tiny / "val" / "val_annotations.txt").unlink()
    with pytest.raises(DataError, match=r"val_annotations\.txt cannot be read"):
        load_dataset("tiny-imagenet", resolution=SIDE, root=tmp_path)
