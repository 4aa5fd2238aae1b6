"""Generators in files, as records: what they are is their content, and what is not there is said."""

import json
from pathlib import Path

import pytest

from glad_ray.errors import UserError
from glad_ray.plan import make_plan
from glad_ray.plan.show import plan_tables
from glad_ray.spec import DM, RandomStyleGAN, Run, StyleGANFile, Sweep
from tests.generators import kinds

SMALL = RandomStyleGAN(num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8, image_channels=1, classes=10)
OFFICIAL = Path(__file__).parents[1] / "golden" / "stylegan_xl" / "official_super.pkl"


def run(**fields):
    return Run(**({"algorithm": DM(), "space": "f2", "generator": kinds.stylegan_file(SMALL)} | fields))


def test_a_file_tells_all_that_its_record_did():
    file = kinds.stylegan_file(SMALL)
    assert file.synthesis_settings == SMALL.synthesis_settings
    assert file.mapping_settings == SMALL.mapping_settings
    assert (file.resolution, file.image_channels, file.spaces) == (32, 1, SMALL.spaces)
    assert (file.parameter_count, file.step_multiply_adds("f2")) == (
        SMALL.parameter_count,
        SMALL.step_multiply_adds("f2"),
    )
    assert run().set_bytes == run(generator=SMALL).set_bytes


def test_a_name_is_enough():
    path = kinds.stylegan_file(SMALL).path
    assert run(generator=path) == run()
    assert Run.model_validate(json.loads(run().model_dump_json())) == run()


def test_identity_is_the_content_not_the_place(tmp_path):
    copy = kinds.write_stylegan(tmp_path / "copy", SMALL)
    same = run(generator=str(copy), seed=3)
    assert same.run_id == run(seed=3).run_id
    assert same.replace(generator=same.generator.replace(trained_on="cifar10")).run_id == same.run_id
    other = kinds.write_stylegan(tmp_path / "other", SMALL.replace(seed=1))
    assert run(generator=str(other), seed=3).run_id != same.run_id
    assert run(generator=StyleGANFile(path=str(copy), precision="bfloat16"), seed=3).run_id != same.run_id
    with pytest.raises(UserError, match="it is another file"):
        StyleGANFile(path=str(other), sha256=same.generator.sha256)


def test_official_files_are_described_without_torch():
    file = StyleGANFile(path=str(OFFICIAL))
    assert (file.resolution, file.image_channels, file.mapping_settings.classes) == (32, 3, 4)
    assert file.spaces == ("w+", *(f"f{n}" for n in range(8)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"space": "f5"}, "has no layer f5: it has pixel, w+, f0, f1, f2, f3, f4"),
        ({"resolution": 28}, "is not the generator's: set both to 32"),
        ({"init": "real"}, "use sampled, average, gaussian"),
        ({"space": "w+", "init": "gaussian"}, "draws a feature map, which w+ has not"),
        ({"generator": "nowhere.pkl"}, "nowhere.pkl is not there: put it there, or name another. Until then its"),
        ({"generator": SMALL.replace(classes=9)}, "knows 9 classes and fashion-mnist-sample has 10"),
        ({"generator_classes": (1, 2)}, "names 2 classes and fashion-mnist-sample has 10"),
        ({"generator_classes": range(1, 11)}, "must be from 0 to 9"),
        ({"generator": SMALL.replace(classes=0), "generator_classes": range(10)}, "knows no classes"),
        ({"space": "pixel", "generator": None, "generator_classes": range(10)}, "Pixel space has no generator"),
    ],
)
def test_mistakes_are_one_sentence(fields, sentence):
    with pytest.raises(UserError) as caught:
        run(**fields)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_without_the_file_says_what_is_missing():
    plan = make_plan(Sweep(name="x", runs=(run(generator="nowhere.pkl", resolution=32),)))
    said = " ".join(part for part in plan_tables(plan, set()) if isinstance(part, str))
    assert "Generator file nowhere.pkl is not there: put it there" in said
    assert "Not counted, for their cost is not known: stylegan-xl-" in said


def test_a_released_network_is_planned_with_before_its_file_is_there():
    file = StyleGANFile(path="nowhere/imagenet128.pkl", trained_on="imagenet", resolution=128)
    assert (file.known, file.image_channels, file.parameter_count) == (True, 3, 158_741_379)
    assert len(file.spaces) == 27
    assert file.latent_shapes("f12") == {"f": (1024, 52, 52), "w": (14, 512)}
    assert file.step_multiply_adds("f12") > 2 * 942e9
    with pytest.raises(UserError, match="makes 3-channel images"):
        run(generator=file, space="f12")
    with pytest.raises(UserError, match="has no layer f26"):
        run(generator=file, space="f26")


def test_a_plan_with_the_file_says_whose_the_weights_are():
    plan = make_plan(Sweep(name="x", runs=(run(),)))
    said = " ".join(part for part in plan_tables(plan, set()) if isinstance(part, str))
    assert "legal spaces are pixel, w+, f0, f1, f2, f3, f4" in said
    assert "non-commercial research" in said
