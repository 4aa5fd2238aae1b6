"""The generator's own weights among the latents: their gradients, and that steps on them change images."""

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.generators import build_generator
from glad_ray.generators.random_stylegan import random_stylegan
from glad_ray.generators.stylegan_xl.generator import learned_names
from glad_ray.spec import DM, RandomStyleGAN, Run

RECORD = RandomStyleGAN(
    resolution=16, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8, classes=10, image_channels=1
)
LABELS = torch.tensor([0, 1, 1])
SPACES = ["w+", "f0", "f3", "f4"]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def learning():
    return build_generator(RECORD, learn=True, dtype=torch.float64)


@pytest.mark.parametrize("space", SPACES)
def test_it_starts_as_the_frozen_one(space, learning):
    frozen = build_generator(RECORD, dtype=torch.float64)
    latents, expected = (each.init(space, LABELS, rng(), "sampled") for each in (learning, frozen))
    weights = latents.pop("g")
    assert all(torch.equal(latents[kind], expected[kind]) for kind in expected)
    state = random_stylegan(RECORD)
    layer = RECORD.synthesis_settings.layer_of(space)
    assert len(weights) == RECORD.synthesis_settings.parameters_from(space)
    flat = torch.cat([state[name].flatten() for name in learned_names(RECORD.synthesis_settings, layer)])
    assert torch.equal(weights, flat.double())
    images = learning.decode(space, {**latents, "g": weights})
    torch.testing.assert_close(images, frozen.decode(space, expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("space", SPACES)
def test_gradients_of_weights_are_the_derivative_in_any_chunks(space, learning):
    latents = learning.init(space, LABELS, rng(), "sampled")
    image_grads = torch.randn(3, 1, 16, 16, generator=rng(2)).double()
    learning.memory_gib = 4
    grads = learning.pullback(space, latents, image_grads)
    assert list(grads) == list(latents)
    # Weights of thousands and of one: a direction in proportion moves all of them.
    direction, step = torch.randn(latents["g"].shape, generator=rng(3)).double() * (1 + latents["g"].abs()), 1e-7
    ahead, behind = (
        (learning.decode(space, {**latents, "g": latents["g"] + sign * step * direction}) * image_grads).sum()
        for sign in (1, -1)
    )
    slope = float(ahead - behind) / (2 * step)
    assert float((grads["g"] * direction).sum()) == pytest.approx(slope, rel=1e-5)
    learning.memory_gib = 1e-12
    for kind, grad in learning.pullback(space, latents, image_grads).items():
        torch.testing.assert_close(grad, grads[kind], rtol=1e-9, atol=1e-11)


def test_a_run_that_learns_says_what_it_keeps():
    run = Run(algorithm=DM(), space="f3", generator=RECORD)
    learns = run.replace(learn_generator=True)
    weights = RECORD.synthesis_settings.parameters_from("f3")
    assert learns.run_id != run.run_id
    assert learns.set_bytes == run.set_bytes + 4 * weights
    assert (learns.generator_bytes, run.generator_bytes) == (0, 4 * RECORD.parameter_count)
    assert learns.label.endswith("learning the generator")
    with pytest.raises(UserError, match="Pixel space has no generator"):
        Run(algorithm=DM(), learn_generator=True)
