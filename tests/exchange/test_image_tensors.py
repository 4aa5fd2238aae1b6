"""Sets as files of tensors: the way there and back bit for bit, and what is told of tensors that are no set."""

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.exchange import read_image_tensors, write_image_tensors
from glad_ray.spec import DC, Evaluation, Run
from glad_ray.spec.foreign_set import ForeignSet, read_origin
from glad_ray.synthetic_set import SyntheticSet
from tests.exchange.sets import FACTS, made_set

NAMES = ("images_best.pt", "labels_best.pt", "soft_labels_best.pt")


@pytest.mark.parametrize("soft", [False, True])
def test_there_and_back_is_the_same_bit_for_bit(soft, tmp_path):
    made = made_set(soft=soft)
    write_image_tensors(made, tmp_path / "out")
    images, labels, soft_labels = (tmp_path / "out" / name for name in NAMES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(NAMES[: 2 + soft])
    read = read_image_tensors(images, labels, facts=FACTS, soft_labels=soft_labels if soft else None)
    assert torch.equal(read.images, made.images)
    assert torch.equal(read.labels, made.labels)
    assert read.labels.dtype == torch.int64
    assert read.class_names == made.class_names
    assert (read.mean, read.std) == (made.mean, made.std)
    assert (read.soft_labels is not None) == soft
    if soft:
        assert torch.equal(read.soft_labels, made.soft_labels)
    kept = SyntheticSet.from_bytes(read.to_bytes(), "kept")
    assert torch.equal(kept.images, made.images)
    assert kept.run == read.run


def test_only_the_images_of_a_view_are_written(tmp_path):
    whole = made_set(ipc=4)
    write_image_tensors(made_set(ipc=1, images=whole.images[:10]), tmp_path / "out")
    assert (tmp_path / "out" / NAMES[0]).stat().st_size < 2 * 10 * 28 * 28 * 4


def read(tmp_path, images=None, labels=None, soft=None, **fields):
    made = made_set()
    values = [made.images if images is None else images, made.labels if labels is None else labels, soft]
    paths = [tmp_path / name for name in NAMES]
    for path, value in zip(paths, values, strict=True):
        if value is not None:
            torch.save(value, path)
    return read_image_tensors(paths[0], paths[1], facts=FACTS, soft_labels=None if soft is None else paths[2], **fields)


def test_the_record_says_what_is_known_and_no_more(tmp_path):
    record = read_origin(read(tmp_path).run)
    assert isinstance(record, ForeignSet)
    assert (record.dataset, record.pixels, record.ipc, record.soft_labels) == (FACTS.name, 28, 2, False)
    assert read_origin(read(tmp_path, augmentation="").run).augmentation == ""
    assert read_origin(read(tmp_path).run).run_id == record.run_id
    other = read_origin(read(tmp_path, images=made_set().images + 1).run)
    assert other.run_id != record.run_id
    run = Run(algorithm=DC())
    assert read_origin(run.model_dump_json()) == run


@pytest.mark.parametrize("record", ["", "[]", "1", "{", '{"origin": "here"}', '{"dataset": "x"}'])
def test_a_record_of_neither_is_told(record):
    with pytest.raises(UserError):
        read_origin(record)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_a_foreign_set_has_all_that_an_evaluation_asks_of_a_run(labels, tmp_path):
    soft = torch.full((20, 10), 0.1)
    record = read_origin(read(tmp_path, soft=soft, augmentation="flip").run)
    evaluation = Evaluation(labels=labels)
    assert evaluation.labels_of(record) == {"hard": "hard", "soft": "own"}[labels]
    assert evaluation.decided_for(record).augmentation == "flip"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"images": torch.zeros(20, 1, 28, 28).double()},
            "images_best.pt is not a float32 tensor of images x channels",
        ),
        ({"images": torch.zeros(20, 784)}, "images_best.pt is not a float32 tensor of images x channels x height x"),
        ({"images": [torch.zeros(20, 1, 28, 28)]}, "images_best.pt is not a float32 tensor"),
        ({"images": torch.zeros(20, 3, 28, 28)}, "has images of 3 x 28 x 28 and fashion-mnist-sample has square ones"),
        ({"images": torch.zeros(20, 1, 28, 32)}, "has images of 1 x 28 x 32"),
        ({"images": torch.zeros(0, 1, 28, 28)}, "has no images"),
        ({"images": torch.zeros(20, 1, 28, 28).log() * 0}, "images_best.pt has values that are not finite"),
        ({"labels": torch.zeros(20)}, "labels_best.pt is not an int64 tensor of 20 labels"),
        ({"labels": torch.zeros(19).long()}, "labels_best.pt is not an int64 tensor of 20 labels"),
        ({"labels": torch.arange(20) % 11}, "has labels 0 to 10 and those of fashion-mnist-sample are 0 to 9"),
        ({"labels": torch.arange(20) % 10 - 1}, "has labels -1 to 8 and those of"),
        ({"labels": torch.arange(20) % 9}, "has 0 images of one class and 3 of another"),
        ({"soft": torch.full((20, 9), 1 / 9)}, "soft_labels_best.pt is not a float32 tensor of 20 x 10 class"),
        ({"soft": torch.full((20, 10), 1.0)}, "soft_labels_best.pt has rows that are no probabilities"),
        ({"soft": torch.full((20, 10), float("nan"))}, "soft_labels_best.pt has rows that are no probabilities"),
    ],
)
def test_tensors_that_are_no_set_are_told_in_one_sentence(values, sentence, tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, **values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
