"""`--set key=value`."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import DC, DM, MTT, RandomReal, RandomStyleGAN, Run, Sweep, grid
from glad_ray.spec.written.overrides import first, only, override_sweep, parse_assignment, rank

SWEEP = Sweep(
    name="s",
    runs=(
        Run(algorithm=RandomReal(), resolution=32),
        *grid(
            Run(algorithm=DC(), resolution=32),
            algorithm=[DC(), DM(), MTT()],
            where=[{"space": "pixel"}, {"space": "f2", "generator": RandomStyleGAN(image_channels=1)}],
        ),
    ),
)


def test_a_field_changes_in_every_run_that_has_it():
    changed = override_sweep(SWEEP, ["algorithm.iterations=7", "generator.seed=3", "algorithm.synthetic_steps=4"])
    assert [run.steps for run in changed.runs] == [0, 7, 7, 7, 7, 7, 7]
    assert {run.generator.seed for run in changed.runs if run.generator} == {3}
    assert {run.algorithm.synthetic_steps for run in changed.runs if run.algorithm.name == "mtt"} == {4}
    assert changed.runs[0] == SWEEP.runs[0]
    assert changed.evaluations == SWEEP.evaluations


def test_evaluation_resources_and_shorthands():
    changed = override_sweep(
        SWEEP, ["evaluation.epochs=3", "resources.trial.gpus=0.25", "backbone=resnet18", 'evaluation.networks=["vit"]']
    )
    assert changed.evaluations[0].epochs == 3
    assert changed.resources.trial.gpus == 0.25
    assert {run.backbone.name for run in changed.runs} == {"resnet18"}
    assert [network.name for network in changed.evaluations[0].networks] == ["vit"]


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("iterations=3", "Did you mean 'algorithm.iterations'?"),
        ("evaluation.epoch=3", "Did you mean 'evaluation.epochs'?"),
        ("algorithm.iterations=many", "DC.iterations is 'many'"),
        ("seed", "--set takes key=value"),
        ("=3", "--set takes key=value"),
        ("algorithm.learning_rates.pixels=-1", "greater than 0"),
        ("name=other", "Unknown key 'name'"),
    ],
)
def test_mistakes_are_one_sentence(assignment, sentence):
    with pytest.raises(UserError) as caught:
        override_sweep(SWEEP, [assignment])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_some_runs():
    some = only(SWEEP, ["algorithm.name=dc", "algorithm.name=dm", "space=pixel"])
    assert [(run.algorithm.name, run.space) for run in some.runs] == [("dc", "pixel"), ("dm", "pixel")]
    assert only(SWEEP, ["algorithm=dc", "algorithm=dm", "space=pixel"]).runs == some.runs
    # A run without the field is not one that has it.
    assert {run.algorithm.name for run in only(SWEEP, ["algorithm.iterations=5000"]).runs} == {"mtt"}


def test_one_run_by_its_id():
    for run in SWEEP.runs:
        assert only(SWEEP, [f"run_id={run.run_id}"]).runs == (run,)
        assert first(SWEEP, [f"run_id={run.run_id}"]).first[0] == f"run_id={run.run_id}"
        assert [each for each in SWEEP.runs if rank(each, [f"run_id={run.run_id}"]) == 0] == [run]
    # An id of digits alone, or with an e among them, is no number.
    assert parse_assignment("run_id=1234567890e1") == ("run_id", "1234567890e1")
    assert parse_assignment("run_id=012345678901") == ("run_id", "012345678901")


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        (["run_id=0123"], "--only leaves no run: run_id is "),
        (["algorithm.nam=dc"], "Did you mean 'algorithm.name'?"),
        (["seed"], "--only takes key=value"),
        (["space=f9"], "--only leaves no run: space is pixel, f2 in the runs of s."),
        (["algorithm=ncfm"], "--only leaves no run: algorithm is random, dc, dm, mtt in the runs of s."),
    ],
)
def test_mistakes_in_only_are_one_sentence(conditions, sentence):
    with pytest.raises(UserError) as caught:
        only(SWEEP, conditions)
    assert sentence in str(caught.value)
