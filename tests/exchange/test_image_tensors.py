"""Sets as files of tensors: the way there and back bit for bit, and what is told of tensors that are no set."""

import zipfile

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.exchange import labels_beside, read_image_tensors, write_image_tensors
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
        ({"images": torch.zeros(20, 784)}, "images_best.pt holds a float32 tensor of 20 x 784"),
        ({"images": [torch.zeros(1, 28, 28)] * 20}, "holds a list of 20; the images of a set are one float tensor"),
        ({"images": [torch.zeros(1, 28, 28)] * 20}, "torch.stack"),
        ({"images": {"data": torch.zeros(20, 1, 28, 28), "lr": 0.1}}, "a dict of 2 (data, lr)"),
        ({"images": torch.zeros(20, 1, 28, 28).byte()}, "divide values of 0 to 255 by 255"),
        ({"images": torch.zeros(20, 28, 28, 1)}, "save images.permute(0, 3, 1, 2)"),
        (
            {"images": torch.full((20, 1, 28, 28), 1e300, dtype=torch.double)},
            "images_best.pt has values that are not finite",
        ),
        ({"images": torch.zeros(20, 1, 28, 28).cfloat()}, "images_best.pt holds a complex64 tensor"),
        ({"images": torch.zeros(20, 1, 28, 28).to_sparse()}, "images_best.pt holds a float32 tensor that is not dense"),
        ({"images": torch.zeros(20, 3, 28, 28)}, "has images of 3 x 28 x 28 and fashion-mnist-sample has square ones"),
        ({"images": torch.zeros(20, 1, 28, 32)}, "has images of 1 x 28 x 32"),
        ({"images": torch.zeros(0, 1, 28, 28)}, "has no images"),
        ({"images": torch.zeros(20, 1, 28, 28).log() * 0}, "images_best.pt has values that are not finite"),
        ({"labels": torch.zeros(20)}, "labels_best.pt holds a float32 tensor of 20, not hard labels"),
        ({"labels": torch.zeros(19).long()}, "labels_best.pt holds an int64 tensor of 19, not hard labels"),
        ({"labels": torch.arange(20) % 11}, "has labels 0 to 10 and those of fashion-mnist-sample are 0 to 9"),
        ({"labels": torch.arange(20) % 10 - 1}, "has labels -1 to 8 and those of"),
        ({"labels": torch.arange(20) % 9}, "has 0 images of one class and 3 of another"),
        ({"soft": torch.full((20, 9), 1 / 9)}, "soft_labels_best.pt holds a float32 tensor of 20 x 9, not class"),
        ({"soft": torch.full((20, 10), 1.0)}, "soft_labels_best.pt has rows that are no probabilities"),
        ({"soft": torch.full((20, 10), float("nan"))}, "soft_labels_best.pt has values that are not finite"),
    ],
)
def test_tensors_that_are_no_set_are_told_in_one_sentence(values, sentence, tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, **values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def _like_a_view(images):
    return torch.cat([images, images])[: len(images)]


@pytest.mark.parametrize(
    "saved",
    [
        lambda images: images.clone().requires_grad_(),
        torch.nn.Parameter,
        lambda images: images.to(memory_format=torch.channels_last),
        lambda images: images.transpose(2, 3).contiguous().transpose(2, 3),
        _like_a_view,
        torch.Tensor.double,
    ],
    ids=["requires grad", "parameter", "channels last", "transposed", "view", "double"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_images_are_read_however_their_tensor_was_saved(saved, zipped, tmp_path):
    made = made_set()
    paths = [tmp_path / name for name in NAMES[:2]]
    torch.save(saved(made.images), paths[0], _use_new_zipfile_serialization=zipped)
    torch.save(made.labels, paths[1])
    made_again = read_image_tensors(*paths, facts=FACTS)
    assert torch.equal(made_again.images, made.images)
    assert type(made_again.images) is torch.Tensor
    assert not made_again.images.requires_grad
    assert made_again.images.is_contiguous()
    # Equal images are one set, whatever their file looks like.
    torch.save(made.images, paths[0])
    assert read_image_tensors(*paths, facts=FACTS).run == made_again.run


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_of_half_precision_become_float32(dtype, tmp_path):
    images = made_set().images.to(dtype)
    made = read(tmp_path, images=images)
    assert made.images.dtype == torch.float32
    assert torch.equal(made.images.to(dtype), images)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_other_integers_become_int64(dtype, tmp_path):
    made = read(tmp_path, labels=made_set().labels.to(dtype))
    assert torch.equal(made.labels, made_set().labels)


def test_tensors_of_a_gpu_are_read_on_the_cpu(tmp_path):
    made = made_set()
    paths = [tmp_path / name for name in NAMES[:2]]
    torch.save(made.images, tmp_path / "cpu.pt")
    torch.save(made.labels, paths[1])
    # The same file as a process with a GPU writes it: the pickle names the device of every storage.
    with zipfile.ZipFile(tmp_path / "cpu.pt") as source, zipfile.ZipFile(paths[0], "w") as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith("/data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in data
                data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            target.writestr(item.filename, data)
    assert torch.equal(read_image_tensors(*paths, facts=FACTS).images, made.images)


def test_soft_labels_in_place_of_the_labels_are_the_sets_own(tmp_path):
    logits = 3 * torch.randn(20, 10, generator=torch.Generator().manual_seed(1))
    logits = logits.requires_grad_()  # as they are learned
    made = read(tmp_path, labels=logits, label_kind="logits")
    assert torch.allclose(made.soft_labels, logits.detach().softmax(1))
    assert torch.equal(made.labels, logits.argmax(1))
    cooler = read(tmp_path, labels=logits, label_kind="logits", temperature=2.0)
    assert torch.allclose(cooler.soft_labels, (logits.detach() / 2).softmax(1))
    probable = read(tmp_path, labels=made.soft_labels.double(), label_kind="probabilities")
    assert torch.equal(probable.soft_labels, made.soft_labels)
    for each in (made, cooler, probable):
        assert Evaluation(labels="soft").labels_of(read_origin(each.run)) == "own"
    assert read_origin(made.run).run_id == read_origin(probable.run).run_id != read_origin(cooler.run).run_id


PROBABILITIES, LOGITS = torch.full((20, 10), 0.1), torch.arange(200.0).view(20, 10)


@pytest.mark.parametrize(
    ("labels", "kind", "sentence"),
    [
        (PROBABILITIES, "hard", "look like probabilities; if they are, name that kind (--label-kind probabilities)"),
        (LOGITS, "hard", "look like logits; if they are, name that kind (--label-kind logits)"),
        (LOGITS, "probabilities", "(--label-kind logits)"),
        (PROBABILITIES, "logits", "(--label-kind probabilities)"),
        (torch.arange(20) % 10, "probabilities", "(--label-kind hard)"),
        (torch.arange(20) % 10, "logits", "(--label-kind hard)"),
        (LOGITS.log() * 0, "logits", "not finite"),
        (LOGITS[:, :9], "logits", "float tensor of 20 x 10"),
        (LOGITS[:19], "hard", "an integer tensor of 20"),
    ],
)
def test_labels_of_another_kind_are_told_with_the_option_that_names_it(labels, kind, sentence, tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, labels=labels, label_kind=kind)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_told(temperature, tmp_path):
    with pytest.raises(UserError, match="temperature"):
        read(tmp_path, labels=LOGITS, label_kind="logits", temperature=temperature)


@pytest.mark.parametrize("number", ["best", "5000"])
def test_labels_lie_beside_the_images_of_the_same_number(number, tmp_path):
    for name in (f"images_{number}.pt", f"labels_{number}.pt"):
        (tmp_path / name).touch()
    assert labels_beside(tmp_path / f"images_{number}.pt") == tmp_path / f"labels_{number}.pt"


def test_images_without_labels_beside_them_are_told(tmp_path):
    for name in ("images_100.pt", "labels_best.pt", "mine.pt"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="There is no labels_100"):
        labels_beside(tmp_path / "images_100.pt")
    with pytest.raises(UserError, match="--labels"):
        labels_beside(tmp_path / "mine.pt")
