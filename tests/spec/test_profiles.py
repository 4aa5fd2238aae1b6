"""Profiles: what a run means by the fields it does not set."""

import pytest

from glad_ray.plan.baselines import baselines
from glad_ray.plan.cost import estimate
from glad_ray.spec import DC, DM, MTT, NCFM, Experts, LearningRates, RandomReal, RandomStyleGAN, Run
from glad_ray.spec.profiles import DIFFERENCES
from glad_ray.spec.record import field_paths, value_at

GENERATOR = RandomStyleGAN(image_channels=1)
LATENT = {"space": "f4", "generator": GENERATOR}


def run(algorithm, **fields):
    return Run(algorithm=algorithm, resolution=32, **fields)


def test_paper():
    mtt = run(MTT()).algorithm
    assert (mtt.synthetic_steps, mtt.expert_epochs, mtt.max_start_epoch, mtt.iterations) == (10, 2, 2, 5000)
    assert run(DC()).algorithm.matching == "layerwise"
    assert run(DM()).algorithm.iterations == 20000
    assert run(DM()).init == "real"


def test_reference_code():
    mtt = run(MTT(), profile="reference-code", **LATENT)
    assert (mtt.algorithm.synthetic_steps, mtt.algorithm.expert_epochs, mtt.algorithm.max_start_epoch) == (20, 3, 5)
    assert mtt.steps == 1000
    assert mtt.snapshot_steps == tuple(range(100, 1001, 100))
    assert mtt.algorithm.learning_rates == LearningRates(pixels=1e4, f=1e4, w=10, g=0.1)
    assert mtt.expert_set.network.norm == "batchnorm"
    assert mtt.init == "sampled"
    dc = run(DC(), profile="reference-code", images_per_class=10)
    assert (dc.algorithm.matching, dc.algorithm.loops(10), dc.init) == ("layerwise", (1, 1), "noise")
    assert run(DM(), profile="reference-code").steps == 1000


def test_ncfm():
    paper, code = (run(NCFM(), profile=profile, images_per_class=10) for profile in ("paper", "reference-code"))
    assert (paper.algorithm.sampling, paper.algorithm.frequencies, paper.steps) == ("network", 1024, 20000)
    assert (code.algorithm.sampling, code.algorithm.frequencies, code.steps) == ("gaussian", 4096, 20000 * 20)
    assert (code.algorithm.real_batch_size, code.algorithm.real_images_seen) == (1024, "fixed")
    assert (paper.algorithm.optimiser.patience, code.algorithm.optimiser.patience) == (None, 500)
    assert [code.algorithm.class_of_step(step, 10) for step in (0, 9, 10, 20)] == [0, 9, 0, 0]
    assert [code.algorithm.part(step, 10).iteration for step in (0, 19, 20)] == [0, 0, 1]
    assert [code.algorithm.part(step, 10).calibrates for step in (9, 10, 20)] == [False, True, False]
    for each in (paper, code):
        assert (each.formation.factor, each.augmentation) == (2, "sequential:color_crop_cutout")
    # A step of the code has one class, and one of two such steps calibrates.
    costs = [estimate(each, ()).distill_flops for each in (paper, code.replace(algorithm=NCFM(real_batch_size=256)))]
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_codes_of_the_space_w_plus_take_the_rate_of_pixels_in_the_reference_code():
    w_plus = run(DM(), profile="reference-code", space="w+", generator=GENERATOR)
    assert w_plus.algorithm.learning_rates.w == 10
    assert run(DM(), profile="reference-code", **LATENT).algorithm.learning_rates.w == 0.01


def test_what_a_run_sets_stays():
    rates = LearningRates(pixels=7, f=7, w=7)
    made = run(
        MTT(synthetic_steps=3, learning_rates=rates, experts=Experts(count=2)),
        profile="reference-code",
        snapshots=4,
        init="real",
    )
    assert made.algorithm.synthetic_steps == 3
    assert made.algorithm.learning_rates == rates
    assert (made.algorithm.experts.count, made.algorithm.experts.norm) == (2, "batchnorm")
    assert (made.snapshots, made.init) == (4, "real")
    assert made.algorithm.expert_epochs == 3


@pytest.mark.parametrize("algorithm", [DC(iterations=9), DM(), MTT(experts=Experts(count=2)), NCFM(), RandomReal()])
def test_a_profile_leaves_nothing_behind(algorithm):
    paper, code = run(algorithm), run(algorithm, profile="reference-code")
    assert code.replace(profile="paper") == paper
    assert paper.replace(profile="reference-code") == code
    assert Run.model_validate_json(code.model_dump_json()) == code


def test_every_run_of_a_profile_sees_the_same_real_images():
    for algorithm in (DM(), MTT(), RandomReal()):
        paper, code = run(algorithm), run(algorithm, profile="reference-code")
        assert (paper.antialias, code.antialias) == (True, False)
    assert not run(MTT(), profile="reference-code").expert_set.antialias
    (random,) = baselines([run(DM(), profile="reference-code")], [RandomReal()])
    assert not random.antialias


def test_a_field_that_came_later_is_not_part_of_the_identity_at_its_default():
    assert "antialias" not in run(MTT()).model_dump_json()
    assert run(DM()).replace(antialias=False).run_id != run(DM()).run_id
    assert Run(algorithm="dm").run_id == "9edc121d8bde"
    assert Run(algorithm="mtt").expert_set.content_id == "4b8502e360e4"


def test_the_profile_is_part_of_the_identity():
    assert run(DM()).run_id != run(DM(), profile="reference-code").run_id


def test_every_field_of_the_table_exists_and_its_value_differs():
    for difference in DIFFERENCES:
        assert bool(difference.field) == (difference.follows == "profile") == (difference.code_value is not None)
        for name in difference.algorithms if difference.field else ():
            paper = Run(algorithm=name, images_per_class=1 if name == "whole" else 10)
            if not difference.applies(paper):
                paper = paper.replace(space="f0>f4>f8", generator=GENERATOR)
            assert difference.applies(paper)
            assert difference.field in set(field_paths(paper))
            assert difference.code_value(paper) != value_at(paper, difference.field)
    items = [difference.item for difference in DIFFERENCES]
    assert len(items) == len(set(items))
