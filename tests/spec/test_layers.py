"""Spaces of several layers: their names, which are possible, how steps are shared out, and what follows of a run."""

import pytest

from glad_ray.errors import UserError
from glad_ray.spec import DC, DM, MTT, CustomGenerator, LearningRates, RandomReal, RandomStyleGAN, Run, StyleGANFile
from glad_ray.spec.layers import LayerSchedule, joined, last_iterations, space_named, spaces_of
from tests.generators import kinds

GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
RUN = Run(algorithm=DM(iterations=10), space="f0>f2>f4", generator=GENERATOR)


@pytest.mark.parametrize(
    ("written", "name", "spaces"),
    [
        ("pixel", "pixel", ["pixel"]),
        ("f4", "f4", ["f4"]),
        ("f0>f4>f8", "f0>f4>f8", ["f0", "f4", "f8"]),
        (" f0 >  f4>f8 ", "f0>f4>f8", ["f0", "f4", "f8"]),
        ("f0>f1", "f0>f1", ["f0", "f1"]),
        ("f0>..>f1", "f0>f1", ["f0", "f1"]),
        ("f0>f1>f2", "f0>..>f2", ["f0", "f1", "f2"]),
        ("w+>f0>..>f2>f4>f5", "w+>f0>..>f2>f4>f5", ["w+", "f0", "f1", "f2", "f4", "f5"]),
        ("f8 > .. > f10 > .. > f12", "f8>..>f12", ["f8", "f9", "f10", "f11", "f12"]),
        ("z>z+", "z>z+", ["z", "z+"]),
    ],
)
def test_a_space_has_one_name(written, name, spaces):
    assert space_named(written) == name
    assert list(spaces_of(written)) == list(spaces_of(name)) == spaces
    assert joined(spaces) == name


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("f0>", "lacks a layer beside a '>'"),
        (">f0", "lacks a layer beside a '>'"),
        ("f0>>f2", "lacks a layer beside a '>'"),
        ("f0>..", "between no two rising layers"),
        ("f3>..>f3", "between no two rising layers"),
        ("w+>..>f2", "between no two rising layers"),
        ("f4>f0", "Latents of f4 cannot be handed over to f0: f4 has to be the last"),
        ("f1>f1", "Latents of f1 cannot be handed over to f1: name one of f2, f3, f4 after it"),
        ("f0>w+", r"Latents of f0 cannot be handed over to w\+"),
        ("f0>f9", r"no layer f9: it has pixel, w\+, f0"),
        ("f0>pixel", "names pixel, which is no layer of a generator"),
        ("f0>x", "no layer x"),
    ],
)
def test_what_is_no_space_is_refused_in_a_sentence(space, sentence):
    with pytest.raises(UserError, match=sentence):
        RUN.replace(space=space)


def test_steps_are_shared_out_evenly_or_as_is_said():
    assert last_iterations(10, 3, ()) == (3, 7, 10)
    assert last_iterations(10, 3, (2, 2, 1)) == (4, 8, 10)
    assert RUN.last_steps == (3, 7, 10)
    assert RUN.replace(schedule={"shares": (8, 1, 1)}).last_steps == (8, 9, 10)
    # Those of a network, or of one class after another, stay together.
    assert RUN.replace(algorithm=DC(iterations=4, outer_loops=5, inner_loops=1)).last_steps == (5, 15, 20)
    assert RUN.replace(space="f2").last_steps == (10,)
    assert Run(algorithm=RandomReal()).last_steps == (0,)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"schedule": {"shares": (1, 2)}}, "shares has 2 numbers for 3 layers"),
        ({"schedule": {"shares": (100, 1, 1)}}, "10 iterations leave a layer of the 3 without one"),
        ({"schedule": {"shares": (1, 0, 1)}}, "greater than 0"),
        ({"algorithm": DM(iterations=2)}, "2 iterations leave a layer of the 3 without one"),
        ({"schedule": {"choice": "best"}}, "Unknown LayerSchedule.choice 'best'"),
        ({"generator": None}, "Space f0>f2>f4 needs a generator"),
        ({"generator": None, "space": "f0>nothing"}, "Unknown space 'f0>nothing'"),
        ({"algorithm": RandomReal()}, "Baseline random is real images"),
        ({"generator": kinds.BLOBS, "space": "z>z+"}, "Latents of z cannot be handed over to z"),
        ({"space": "w+>f2", "init": "gaussian"}, r"feature map, which w\+ has not"),
        ({"generator": kinds.autoencoder(32), "resolution": None, "learn_generator": True}, "cannot be learned"),
    ],
)
def test_mistakes_are_one_sentence(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        RUN.replace(**fields)


def test_a_schedule_is_part_of_the_identity_only_where_there_are_layers():
    assert "schedule" not in RUN.model_dump_json()
    assert RUN.replace(space="f0 > f2 > f4").run_id == RUN.run_id
    last = LayerSchedule(choice="last")
    assert RUN.replace(schedule=last).run_id != RUN.run_id
    one = RUN.replace(space="f2")
    assert one.replace(schedule=last).run_id == one.run_id
    assert Run.model_validate_json(RUN.replace(schedule=last).model_dump_json()) == RUN.replace(schedule=last)
    assert "layered" not in kinds.BLOBS.model_dump_json()


def test_a_set_is_of_the_last_layer_and_rates_of_all():
    run = RUN.replace(space="w+>f2>f4")
    assert run.spaces == ("w+", "f2", "f4")
    assert run.latent_kinds == ("w", "f")
    assert (run.layer, RUN.replace(space="w+").layer, run.set_bytes) == (4, None, RUN.replace(space="f4").set_bytes)
    learning = RUN.replace(learn_generator=True)
    assert learning.learned_weights == RUN.replace(space="f4", learn_generator=True).learned_weights
    assert RUN.label == "dm f0>f2>f4 fashion-mnist-sample ipc 1 seed 0"


def test_other_generators_with_layers():
    encoder = kinds.autoencoder(32)
    assert RUN.replace(generator=encoder, space="f0>..>f4", init="real").spaces == ("f0", "f1", "f2", "f3", "f4")
    latents = {"a": {"f": (1, 2, 2)}, "b": {"f": (1, 4, 4)}}
    own = CustomGenerator(name="a:b", resolution=28, image_channels=1, latents=latents, layered=True)
    assert RUN.replace(generator=own, space="a>b", resolution=None).spaces == ("a", "b")
    with pytest.raises(UserError, match="b has to be the last"):
        RUN.replace(generator=own, space="b>a", resolution=None)
    missing = StyleGANFile(path="/nowhere/imagenet.pkl")
    assert RUN.replace(generator=missing, space="f1>..>f3", resolution=128).last_steps == (3, 7, 10)


def test_the_profile_of_the_released_code():
    """Its table of rates, its steps per layer, and that it goes on from the last step of a layer."""
    space = {"space": "f0>..>f3", "profile": "reference-code"}
    rates = {
        "dc": LearningRates(pixels=1, f=1, w=0.001, g=1e-4),
        "dm": LearningRates(pixels=10, f=10, w=0.01, g=1e-4),
        "mtt": LearningRates(pixels=1e4, f=1e4, w=10, g=0.1),
    }
    for algorithm, per_layer in ((DC(), 101), (DM(), 11), (MTT(), 101)):
        run = RUN.replace(algorithm=algorithm, **space)
        assert run.last_steps == tuple(per_layer * number for number in (1, 2, 3, 4))
        assert run.algorithm.learning_rates == rates[algorithm.name]
        assert run.schedule == LayerSchedule(choice="last", distance="released")
        assert RUN.replace(algorithm=algorithm.replace(iterations=12), **space).steps == 12
        assert run.replace(profile="paper").schedule == LayerSchedule()
        assert run.replace(space="f2").steps == 1000
    kept = RUN.replace(schedule={"choice": "nearest"}, **space).schedule
    assert (kept.choice, kept.distance) == ("nearest", "released")
    assert (RUN.init, RUN.replace(**space).init) == ("sampled", "sampled")
