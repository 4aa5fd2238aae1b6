"""What an evaluation means for one run."""

from glad_ray.spec import DM, MTT, Evaluation, Experts, RandomReal, Run, WholeDataset

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
