"""A GPU that has less memory than was foretold: fewer images at a time, and never a larger share for the trial."""

import pytest
import torch

from glad_ray.engine.replica.arrays import array_of, arrays_of, tensor_of
from glad_ray.engine.replica.calls import IMAGE_GRADS, decode_key, pullback_key
from glad_ray.engine.replica.computing import HeldGenerator
from glad_ray.errors import UnavailableError
from glad_ray.generators import build_generator
from glad_ray.progress.faults import Fault
from glad_ray.spec import Resources
from tests.generators import kinds

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

ELSEWHERE = build_generator(kinds.BLOBS)
LATENTS = ELSEWHERE.init("z+", torch.arange(10), torch.Generator().manual_seed(0), "sampled")
IMAGE_GRADS_OF = torch.randn(10, 1, 32, 32, generator=torch.Generator().manual_seed(1))
ARRAYS = arrays_of(LATENTS)
BOTH = {**ARRAYS, IMAGE_GRADS: array_of(IMAGE_GRADS_OF)}


def held(images, graphs):
    """What a replica holds, on a GPU with memory for so many images or graphs of images at a time."""
    options = {"side": 32, "images": images, "graphs": graphs}
    record = kinds.BLOBS.replace(name="tests.generators.own_generators:of_a_small_gpu", options=options)
    return HeldGenerator(record, None, Resources(), at_once=1, dtype=None)


def two_calls(arrays):
    return [{kind: values[part] for kind, values in arrays.items()} for part in (slice(0, 6), slice(6, 10))]


def test_fewer_images_at_a_time_give_the_same():
    generator = held(images=6, graphs=3)
    decode, pullback = decode_key("z+", ARRAYS), pullback_key("z+", BOTH)
    assert generator.room(decode).images > 10
    images = torch.cat([tensor_of(each) for each in generator.compute(decode, two_calls(ARRAYS))])
    torch.testing.assert_close(images, ELSEWHERE.decode("z+", LATENTS))
    assert generator.room(decode).images == 5
    grads = generator.compute(pullback, two_calls(BOTH))
    for kind, expected in ELSEWHERE.pullback("z+", LATENTS, IMAGE_GRADS_OF).items():
        torch.testing.assert_close(torch.cat([tensor_of(each[kind]) for each in grads]), expected)
    assert generator.room(pullback).images == 2


@pytest.mark.parametrize(("images", "lacking"), [(10, r"one image from z\+"), (0, "the weights of tests.generators")])
def test_no_memory_for_a_single_image_is_tried_again_and_names_what_to_set(images, lacking):
    said = rf"no memory left for {lacking}.*: raise resources\.generator_gpus"
    with pytest.raises(UnavailableError, match=said) as raised:
        held(images, graphs=0).compute(pullback_key("z+", BOTH), [BOTH])
    assert Fault.of(raised.value).kind == "infrastructure", "and not the share of a GPU, which would grow"
