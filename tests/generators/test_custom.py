"""A generator of the user's own, by name."""

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.generators import build_generator
from glad_ray.spec import DM, Run
from tests.generators import kinds

BLOBS = kinds.BLOBS.replace(resolution=16, options={"side": 16})
LABELS = torch.tensor([0, 1, 2])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("space", BLOBS.spaces)
def test_pullback_is_the_derivative_of_what_the_user_wrote(space):
    generator = build_generator(BLOBS, dtype=torch.float64)
    latents = {kind: value.double() for kind, value in generator.init(space, LABELS, rng(), "sampled").items()}
    images = generator.decode(space, latents)
    assert images.shape == (3, 1, 16, 16)
    image_grads = torch.randn(images.shape, generator=rng(1)).double()
    grads = generator.pullback(space, latents, image_grads)
    assert list(grads) == list(latents)
    for kind, value in latents.items():
        direction, step = torch.randn(value.shape, generator=rng(2)).double(), 1e-6
        ahead, behind = (
            (generator.decode(space, {**latents, kind: value + sign * step * direction}) * image_grads).sum()
            for sign in (1, -1)
        )
        slope = float(ahead - behind) / (2 * step)
        assert float((grads[kind] * direction).sum()) == pytest.approx(slope, rel=1e-6)


def test_runs_name_only_what_it_has():
    run = Run(algorithm=DM(), space="z+", generator=BLOBS, images_per_class=2)
    assert (run.pixels, run.init, run.layer, run.generator_bytes) == (16, "sampled", None, 0)
    assert run.set_bytes == 4 * 20 * (16 + 3)
    assert hash(run) != hash(run.replace(space="z"))
    assert Run.model_validate_json(run.model_dump_json()) == run
    with pytest.raises(UserError, match=r"has no layer f4: it has pixel, z, z\+"):
        run.replace(space="f4")
    with pytest.raises(UserError, match="use sampled"):
        run.replace(init="average")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "tests.nowhere:blobs"}, "tests.nowhere cannot be imported"),
        ({"name": "tests.generators.own_generators:blob"}, "Did you mean 'blobs'?"),
        ({"name": "tests.generators.own_generators:not_a_generator", "options": {}}, "lacks one of spaces"),
        ({"name": "tests.generators.own_generators:other_shapes", "options": {}}, "its record says"),
        ({"latents": {"y": {"w": (3,)}}}, "has no space y: it has z, z+"),
        ({"options": {"size": 3}}, "refuses device='cpu' and its options (TypeError"),
        ({"options": {"side": 8}}, "makes images of [1, 8, 8] from z, and its record says [1, 16, 16]"),
    ],
)
def test_what_differs_from_the_record_is_told_before_it_is_used(changes, sentence):
    with pytest.raises(UserError) as caught:
        build_generator(BLOBS.replace(**changes))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "blobs"}, "should match pattern"),
        ({"latents": {}}, "has no latents"),
        ({"latents": {"pixel": {"f": (1,)}}}, "cannot have a space 'pixel'"),
        ({"latents": {"a/b": {"f": (1,)}}}, "cannot have a space 'a/b'"),
        ({"latents": {"z": {"q": (1,)}}}, "has latents q in z: use f"),
        ({"starts": ()}, "has no starts"),
    ],
)
def test_mistakes_in_the_record_are_one_sentence(changes, sentence):
    with pytest.raises(UserError) as caught:
        BLOBS.replace(**changes)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
