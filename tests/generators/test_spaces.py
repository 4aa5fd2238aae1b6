"""One conformance suite over every space: pixels, and every space of a generator."""

import pytest
import torch

from glad_ray.errors import UserError
from glad_ray.generators import GeneratorSpace, PixelSpace, build_generator
from glad_ray.spec import RandomStyleGAN

RECORD = RandomStyleGAN(resolution=16, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8, classes=3)
GENERATOR = build_generator(RECORD, dtype=torch.float64)
MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
LABELS = torch.tensor([0, 0, 1, 2, 2])


def real_images(labels, rng):
    return labels[:, None, None, None] + torch.rand(len(labels), 3, 16, 16, generator=rng)


def generator_space(space, init):
    return GeneratorSpace(GENERATOR, space, init=init, mean=MEAN, std=STD)


SPACES = {
    "pixel-noise": PixelSpace((3, 16, 16), "noise"),
    "pixel-real": PixelSpace((3, 16, 16), "real", real_images),
    **{
        f"{space}-{init}": generator_space(space, init)
        for space in RECORD.spaces
        for init in ("sampled", "average", "gaussian")
        if (space, init) != ("w+", "gaussian")
    },
}
KINDS = {"pixel": ["pixels"], "w+": ["w"]}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=SPACES)
def name(request):
    return request.param


@pytest.fixture
def space(name):
    return SPACES[name]


def test_init(name, space):
    torch.manual_seed(1)
    latents = space.init(LABELS, rng())
    torch.manual_seed(2)
    again, other = space.init(LABELS, rng()), space.init(LABELS, rng(1))
    assert list(latents) == KINDS.get(name.split("-")[0], ["f", "w"])
    for kind, value in latents.items():
        assert len(value) == len(LABELS)
        assert value.is_contiguous()
        assert not value.requires_grad
        assert torch.isfinite(value).all()
        assert torch.equal(value, again[kind])
        # The Fourier features of a network before training do not depend on the code.
        if kind != "f" or not name.startswith("f0") or name.endswith("gaussian"):
            assert not torch.equal(value, other[kind])


def test_decode(space):
    latents = space.init(LABELS, rng())
    images = space.decode(latents)
    assert images.shape == (len(LABELS), 3, 16, 16)
    assert not images.requires_grad
    assert torch.equal(space.decode(latents), images)
    # Latents are changed in place by the loop: images must not follow.
    kept = images.clone()
    for value in latents.values():
        value.add_(1)
    assert torch.equal(images, kept)
    assert not torch.equal(space.decode(latents), kept)


def test_images_do_not_depend_on_one_another(space):
    latents = space.init(LABELS, rng())
    images = space.decode(latents)
    image_grads = torch.randn(images.shape, generator=rng(1)).to(images)
    grads = space.pullback(latents, image_grads)
    alone = {kind: value[3:4] for kind, value in latents.items()}
    torch.testing.assert_close(space.decode(alone), images[3:4], rtol=0, atol=1e-12)
    for kind, grad in space.pullback(alone, image_grads[3:4]).items():
        torch.testing.assert_close(grad, grads[kind][3:4], rtol=0, atol=1e-11)


def test_pullback_is_the_derivative_of_decode(space):
    latents = {kind: value.double() for kind, value in space.init(LABELS, rng()).items()}
    before = {kind: value.clone() for kind, value in latents.items()}
    image_grads = torch.randn(len(LABELS), 3, 16, 16, generator=rng(1)).double()
    grads = space.pullback(latents, image_grads)
    assert list(grads) == list(latents)
    step = 1e-7
    for kind, value in latents.items():
        assert grads[kind].shape == value.shape
        assert grads[kind].dtype == value.dtype
        assert not grads[kind].requires_grad
        assert torch.equal(value, before[kind])
        direction = torch.randn(value.shape, generator=rng(2)).double()
        ahead, behind = (
            (space.decode({**latents, kind: value + sign * step * direction}) * image_grads).sum() for sign in (1, -1)
        )
        slope = float(ahead - behind) / (2 * step)
        assert float((grads[kind] * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_float32_latents_of_a_float64_generator_stay_float32():
    space = generator_space("f2", "sampled")
    latents = {kind: value.float() for kind, value in space.init(LABELS, rng()).items()}
    images = space.decode(latents)
    assert images.dtype == torch.float32
    assert {grad.dtype for grad in space.pullback(latents, images).values()} == {torch.float32}


def test_generated_images_are_normalised_as_the_dataset():
    space = generator_space("w+", "sampled")
    latents = space.init(LABELS, rng())
    nominal = GENERATOR.decode("w+", latents)
    mean, std = (torch.tensor(value, dtype=torch.float64).view(3, 1, 1) for value in (MEAN, STD))
    torch.testing.assert_close(space.decode(latents), ((nominal + 1) / 2 - mean) / std, rtol=0, atol=1e-12)


def test_pixels_are_noise_or_independent_real_draws():
    noise = SPACES["pixel-noise"].init(torch.zeros(200, dtype=torch.long), rng())["pixels"]
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    real = SPACES["pixel-real"].init(LABELS, rng())["pixels"]
    assert torch.equal(real.floor().amax(dim=(1, 2, 3)).long(), LABELS)
    assert not torch.equal(real[0], real[1])


def test_errors():
    with pytest.raises(UserError, match=r"no latent space 'f5': it has w\+, f0, f1, f2, f3, f4"):
        generator_space("f5", "sampled")
    with pytest.raises(UserError, match=r"'sampled'.* Known: noise, real"):
        PixelSpace((1, 8, 8), "sampled")
    with pytest.raises(UserError, match="give real_images"):
        PixelSpace((1, 8, 8), "real")


def test_labels_become_the_generators_classes():
    named = GeneratorSpace(GENERATOR, "f1", init="sampled", mean=MEAN, std=STD, classes=(2, 0, 1))
    expected = generator_space("f1", "sampled").init(torch.tensor([2, 2, 0, 1, 1]), rng())
    found = named.init(LABELS, rng())
    assert all(torch.equal(found[kind], expected[kind]) for kind in expected)
    with pytest.raises(UserError, match="Labels from 0 to 3"):
        GeneratorSpace(GENERATOR, "f1", init="sampled", mean=MEAN, std=STD, classes=(3, 0, 1)).init(LABELS, rng())
