"""What an evaluation means for one run."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import DM, MTT, Evaluation, Experts, Mixing, RandomReal, Run, Views, WholeDataset

DISTILLED = Run(algorithm=DM(), resolution=32)
PLAIN = DISTILLED.replace(augmentation="")
WHOLE = Run(algorithm=WholeDataset(), resolution=32)


def test_augmentation_is_the_runs_unless_it_is_set():
    assert Evaluation().decided_for(DISTILLED).augmentation == DISTILLED.augmentation
    assert Evaluation().decided_for(PLAIN).augmentation == ""
    assert Evaluation(augmentation="flip").decided_for(PLAIN).augmentation == "flip"


def test_epochs():
    evaluation = Evaluation(epochs=1000, plain_epochs=300, whole_dataset_epochs=20)
    assert [evaluation.decided_for(run).epochs for run in (DISTILLED, PLAIN, WHOLE)] == [1000, 300, 20]
    assert Evaluation(epochs=7).decided_for(PLAIN).epochs == 7
    assert Evaluation().decided_for(WHOLE).ema_decay == 0


def test_labels():
    own = Run(algorithm=MTT(labels="soft"), resolution=32)
    hard, soft = Evaluation(), Evaluation(labels="soft", teacher=Experts(count=3))
    assert {hard.labels_of(run) for run in (DISTILLED, own, WHOLE)} == {"hard"}
    assert [soft.labels_of(run) for run in (DISTILLED, own, WHOLE)] == ["teacher", "own", "hard"]
    assert soft.teachers_of(DISTILLED).experts.count == 3
    assert soft.teachers_of(DISTILLED) == soft.teachers_of(Run(algorithm=RandomReal(), resolution=32))
    assert soft.teachers_of(own) is soft.teachers_of(WHOLE) is None


def test_regimes():
    own = Run(algorithm=MTT(labels="soft"), resolution=32)
    regimes = {
        labels: [Evaluation(labels=labels).regime_for(run) for run in (DISTILLED, own, WHOLE)]
        for labels in ("hard", "soft", "online")
    }
    assert regimes == {
        "hard": ["hard", "hard", "hard"],
        "soft": ["fixed-soft", "fixed-soft", "hard"],
        "online": ["teacher", "teacher", "hard"],
    }
    online = Evaluation(labels="online", teacher=Experts(count=2))
    assert [online.labels_of(run) for run in (DISTILLED, own, WHOLE)] == ["online", "online", "hard"]
    assert online.teachers_of(own).experts.count == 2


def test_bytes_of_labels():
    run = DISTILLED.replace(images_per_class=3)
    teachers = Experts(count=2)
    assert Evaluation().label_bytes(run) == 0
    # 30 images of 10 classes, 4 bytes each.
    assert Evaluation(labels="soft").label_bytes(run) == 30 * 10 * 4
    assert Evaluation(labels="soft").label_bytes(Run(algorithm=MTT(labels="soft"), resolution=32)) == 0
    online = Evaluation(labels="online", teacher=teachers)
    assert online.label_bytes(run) == 4 * 2 * run.experts_of(teachers).parameters
    assert online.label_bytes(WHOLE) == 0


def test_what_a_training_may_have_more_is_in_no_id_at_its_default():
    plain = Evaluation()
    said = plain.replace(
        optimiser="sgd", decay_vectors=True, views=None, mixing=None, temperature=20, temperature_squared=False,
        seen_twice=False,
    )  # fmt: skip
    assert said.content_id == plain.content_id
    others = [
        plain.replace(optimiser="adamw"), plain.replace(mixing=Mixing()), plain.replace(mixing=Mixing(kind="mixup")),
        plain.replace(views=Views()), plain.replace(views=Views(parts=2)), plain.replace(labels="online"),
        plain.replace(labels="online", temperature=4), plain.replace(labels="online", temperature_squared=True),
        plain.replace(seen_twice=True), plain.replace(schedule="halving"),
        plain.replace(optimiser="adamw", decay_vectors=False),
    ]  # fmt: skip
    assert len({each.content_id for each in (plain, *others)}) == 12


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature": 4}, "labels that a teacher gives at every step"),
        ({"temperature_squared": True, "labels": "soft"}, "temperature_squared is of labels that a teacher"),
        ({"decay_vectors": False}, "decay_vectors is of adamw"),
        ({"labels": "teacher"}, "labels"),
        ({"mixing": {"probability": 0}}, "probability"),
    ],
)
def test_what_does_not_go_together_is_told(fields, said):
    with pytest.raises(UserError, match=said):
        Evaluation(**fields)
