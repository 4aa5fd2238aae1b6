"""Records written as the Python that makes them."""

import itertools

import pytest

import glad_ray
from glad_ray import (
    DC,
    DM,
    MTT,
    NCFM,
    SGD,
    AdamW,
    DatasetFacts,
    DiffusersAutoencoder,
    Evaluation,
    Experts,
    Herding,
    KMeans,
    LearningRates,
    Mixing,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    StyleGANFile,
    WholeDataset,
)
from glad_ray.spec.written.code import as_code, import_line
from tests.generators import kinds

RANDOM = RandomStyleGAN(image_channels=1, channel_max=2)
RATES = LearningRates(pixels=0.1, f=12.5, w=1e-5)
ALGORITHMS = (
    DC(),
    DM(),
    MTT(),
    DC(matching="layerwise", iterations=7, outer_loops=2, learning_rates=RATES),
    DM(iterations=1000, learning_rates=RATES),
    DM(iterations=20000),
    MTT(experts=Experts(count=3, epochs=20, keep_until=9, dtype="bfloat16"), batch_size=4),
    MTT(labels="soft", experts=Experts(norm="instancenorm")),
    MTT(synthetic_steps=10, expert_epochs=2, iterations=5000),
    NCFM(),
    NCFM(classes="in turn", optimiser=SGD(patience=3), experts=Experts(lr_drops=(2,), mixing=Mixing())),
    DM(optimiser=AdamW(weight_decay=0.1)),
)
BASELINES = (RandomReal(), Herding(), Herding(features=None), KMeans(features=Experts(count=2)), WholeDataset())
PROFILES = ("paper", "reference-code")


def evaluated(code):
    return eval(import_line(code) and code, {name: getattr(glad_ray, name) for name in glad_ray.__all__})


def wheres():
    autoencoder = kinds.autoencoder(32)
    return [
        {"space": "pixel"},
        {"space": "pixel", "init": "noise", "resolution": 32},
        *({"space": space, "generator": RANDOM} for space in ("w+", "f0", "f10")),
        {"space": "f3", "generator": RANDOM, "init": "gaussian", "learn_generator": True},
        {"space": "f2", "generator": RandomStyleGAN(image_channels=1, classes=12), "generator_classes": range(10)},
        {"space": "w+", "generator": kinds.stylegan_file(RANDOM)},
        {"space": "f1", "generator": kinds.stylegan_file(RANDOM).replace(trained_on="mine", truncation=0.7)},
        {"space": "f1", "generator": autoencoder},
        {"space": "z+", "generator": kinds.BLOBS},
    ]


@pytest.mark.full
def test_every_run_is_made_again():
    base = Run(algorithm=DM(), held_out=3, backbone=Network(width=32, depth=2), seed=4)
    for profile, algorithm, where in itertools.product(PROFILES, ALGORITHMS, wheres()):
        run = base.replace(profile=profile, algorithm=algorithm, **where)
        # As it is read, every field is set.
        made = evaluated(as_code(Run.model_validate_json(run.model_dump_json())))
        assert made == run
        assert made.run_id == run.run_id
        if algorithm == DM():
            assert evaluated(as_code(run)) == run


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", BASELINES)
def test_baselines_are_made_again(algorithm, profile):
    run = Run(algorithm=algorithm, dataset="mnist", profile=profile)
    assert evaluated(as_code(run)) == run


def test_nothing_is_said_that_follows():
    assert as_code(Run(algorithm=DM())) == "Run(algorithm=DM())"
    read = Run.model_validate_json(Run(algorithm=MTT(), space="f2", generator=RANDOM).model_dump_json())
    generator = "RandomStyleGAN(image_channels=1, channel_max=2)"
    assert as_code(read) == f'Run(algorithm=MTT(), space="f2", generator={generator})'


def test_what_a_profile_implies_is_not_said_and_what_departs_from_it_is():
    run = Run(algorithm=DM(), profile="reference-code")
    assert as_code(run) == 'Run(algorithm=DM(), profile="reference-code")'
    departing = run.replace(algorithm=DM(iterations=20000))
    assert as_code(departing) == 'Run(algorithm=DM(iterations=20000), profile="reference-code")'
    assert as_code(Run(algorithm=DM(iterations=20000))) == "Run(algorithm=DM())"


def test_long_calls_are_broken_into_lines():
    run = Run(
        algorithm=DM(iterations=300, learning_rates=RATES), space="f3", generator=RANDOM, held_out=20, resolution=32
    )
    code = as_code(run)
    assert code == (
        "Run(\n"
        "    algorithm=DM(iterations=300, learning_rates=LearningRates(pixels=0.1, f=12.5, w=1e-05)),\n"
        '    space="f3",\n'
        "    generator=RandomStyleGAN(image_channels=1, channel_max=2),\n"
        "    held_out=20,\n"
        ")"
    )
    assert import_line(code) == "from glad_ray import DM, LearningRates, RandomStyleGAN, Run"


def test_other_records_tuples_and_mappings():
    networks = (Network(name="timm.models:vit", options={"patch": 4, "pool": 'a"b\n'}),)
    evaluation = Evaluation(networks=networks, learning_rates={"timm.models:vit": 0.1}, teacher=Experts(count=2))
    assert evaluated(as_code(evaluation)) == evaluation
    assert as_code(Evaluation()) == "Evaluation()"


def test_a_generator_whose_file_is_not_there_is_named_by_its_path_and_hash():
    fields = kinds.stylegan_file(RANDOM).model_dump() | {"path": "/nowhere/prior.pkl", "trained_on": "mine"}
    generator = StyleGANFile.model_validate(fields)
    run = Run(algorithm=DM(), space="f1", generator=generator)
    code = as_code(run)
    assert "Settings" not in code
    made = evaluated(code)
    assert isinstance(made.generator, StyleGANFile)
    assert (made.run_id, made.generator.path) == (run.run_id, "/nowhere/prior.pkl")
    assert (made.generator.trained_on, made.generator.sha256) == ("mine", generator.sha256)


def test_an_autoencoder_that_is_not_there():
    generator = DiffusersAutoencoder(**kinds.autoencoder(32).model_dump() | {"path": "/nowhere"})
    run = Run(algorithm=DM(), space="f1", generator=generator)
    assert evaluated(as_code(run)).run_id == run.run_id


def test_a_dataset_of_ones_own_that_is_not_there():
    facts = DatasetFacts(
        name="folder:/nowhere",
        title="mine",
        class_names=("a", "b's"),
        channels=3,
        resolution=32,
        train_images=100,
        test_images=10,
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 1.0, 1.0),
    )
    run = Run(algorithm=DM(), dataset=facts.name, own_dataset=facts)
    code = as_code(run)
    assert "own_dataset=DatasetFacts(" in code
    assert "many_sizes" not in code
    assert evaluated(code) == run


def test_everything_a_run_may_hold_is_a_name_of_the_package():
    run = Run(algorithm=DM(learning_rates=RATES), space="f3", generator=RANDOM, backbone=Network(width=8))
    names = import_line(as_code(run)).removeprefix("from glad_ray import ").split(", ")
    assert set(names) == {"DM", "LearningRates", "Network", "RandomStyleGAN", "Run"} <= set(glad_ray.__all__)
