"""The in-process generator: pure, the same in any chunks, with the gradients of one full graph; its random weights."""

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glad_ray.errors import UserError
from glad_ray.generators import InProcessGenerator, build_generator
from glad_ray.generators.calibration import IMAGE_DEVIATION, SAMPLES, calibrated
from glad_ray.generators.random_stylegan import random_state
from glad_ray.generators.stylegan_xl.mapping import MappingNetwork
from glad_ray.generators.stylegan_xl.synthesis import SynthesisNetwork
from glad_ray.spec import RandomStyleGAN
from glad_ray.spec.generators import GIB
from glad_ray.stylegan.settings import WORKING_BYTES

CONFIG_T = RandomStyleGAN(
    resolution=16, num_layers=5, channel_base=128, channel_max=5, w_dim=16, z_dim=8, classes=3, seed=3
)
CONFIG_R = RandomStyleGAN(
    resolution=32, image_channels=1, num_layers=4, channel_base=128, channel_max=4, kernel_size=1, w_dim=8, seed=1
)
RECORDS = {"config-t": CONFIG_T, "config-r": CONFIG_R}
SPACES = [(name, space) for name, record in RECORDS.items() for space in record.spaces]
LABELS = torch.tensor([0, 2, 1, 1, 0])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@cache
def network(record):
    return build_generator(record, dtype=torch.float64).network


def double(record, keep_graph=False):
    return InProcessGenerator(network(record), dtype=torch.float64, memory_gib=4, keep_graph=keep_graph)


def chunked(record, space, images):
    """As many images at a time as that."""
    generator = double(record)
    generator.memory_gib = (WORKING_BYTES + (images + 0.5) * generator.pullback_bytes(space)) / GIB
    assert generator.chunk_size(space) == images
    return generator


def drawn(generator, space, seed=0):
    """Latents off the generator's own path: another code per layer, a perturbed feature map."""
    latents = generator.init(space, LABELS, rng(seed), "sampled")
    return {kind: value + 0.3 * torch.randn(value.shape, generator=rng(1)).to(value) for kind, value in latents.items()}


@pytest.mark.parametrize(("record", "space"), SPACES)
def test_shapes_are_those_of_the_record(record, space):
    record = RECORDS[record]
    latents = build_generator(record).init(space, LABELS, rng(), "sampled")
    assert {kind: tuple(value.shape[1:]) for kind, value in latents.items()} == record.latent_shapes(space)
    assert all(len(value) == len(LABELS) and value.dtype == torch.float32 for value in latents.values())
    images = build_generator(record).decode(space, latents)
    assert images.shape == (5, record.image_channels, record.resolution, record.resolution)


@pytest.mark.parametrize(("record", "space"), SPACES)
def test_chunks_do_not_matter(record, space):
    whole = double(RECORDS[record])
    latents = drawn(whole, space)
    images = whole.decode(space, latents)
    image_grads = torch.randn(images.shape, generator=rng(2)).double()
    grads = whole.pullback(space, latents, image_grads)
    for chunk_size in (1, 2, 9):
        parts = chunked(RECORDS[record], space, chunk_size)
        torch.testing.assert_close(parts.decode(space, latents), images, rtol=0, atol=1e-12)
        for kind, grad in parts.pullback(space, latents, image_grads).items():
            torch.testing.assert_close(grad, grads[kind], rtol=0, atol=1e-12)
        expected = whole.init(space, LABELS, rng(), "sampled")
        for kind, value in parts.init(space, LABELS, rng(), "sampled").items():
            torch.testing.assert_close(value, expected[kind], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("record", "space"), SPACES)
def test_pullback_is_autograd_through_one_graph(record, space):
    generator = chunked(RECORDS[record], space, 2)
    latents = drawn(generator, space)
    before = {kind: value.clone() for kind, value in latents.items()}
    leaves = {kind: value.clone().requires_grad_() for kind, value in latents.items()}
    if space == "w+":
        images = generator.network.synthesis(leaves["w"])
    else:
        images = generator.network.synthesis.from_f(leaves["w"], leaves["f"], int(space[1:]))
    torch.testing.assert_close(generator.decode(space, latents), images.detach(), rtol=0, atol=1e-12)
    image_grads = torch.randn(images.shape, generator=rng(2)).double()
    expected = torch.autograd.grad(images, tuple(leaves.values()), image_grads)
    found = generator.pullback(space, latents, image_grads)
    assert list(found) == list(latents)
    for kind, gradient in zip(leaves, expected, strict=True):
        assert not found[kind].requires_grad
        torch.testing.assert_close(found[kind], gradient, rtol=0, atol=1e-10)
        assert torch.equal(latents[kind], before[kind])


@pytest.mark.parametrize(("record", "space"), SPACES)
def test_pullback_is_the_derivative(record, space):
    """Along random directions, against central differences."""
    generator = double(RECORDS[record])
    latents = drawn(generator, space)
    image_grads = torch.randn(generator.decode(space, latents).shape, generator=rng(2)).double()
    grads = generator.pullback(space, latents, image_grads)
    step = 1e-7
    for seed, (kind, value) in enumerate(latents.items()):
        direction = torch.randn(value.shape, generator=rng(seed)).double()
        ahead, behind = (
            (generator.decode(space, {**latents, kind: value + sign * step * direction}) * image_grads).sum()
            for sign in (1, -1)
        )
        slope = float(ahead - behind) / (2 * step)
        assert float((grads[kind] * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("record", "n"), [("config-t", n) for n in range(6)] + [("config-r", n) for n in range(5)])
def test_features_and_later_codes_are_all_that_is_used(record, n):
    generator = double(RECORDS[record])
    latents = drawn(generator, "w+")
    f = generator.network.synthesis.to_f(latents["w"], n)
    images = generator.decode(f"f{n}", {"f": f, "w": latents["w"][:, n + 1 :]})
    torch.testing.assert_close(images, generator.decode("w+", latents), rtol=0, atol=1e-12)
    # The same draws start every space.
    sampled = generator.init(f"f{n}", LABELS, rng(), "sampled")
    codes = generator.init("w+", LABELS, rng(), "sampled")["w"]
    torch.testing.assert_close(sampled["f"], generator.network.synthesis.to_f(codes, n), rtol=0, atol=1e-12)
    torch.testing.assert_close(sampled["w"], codes[:, n + 1 :], rtol=0, atol=0)


def test_gaussian_features_have_the_sampled_ones_mean_and_deviation():
    generator = build_generator(CONFIG_T)
    sampled = generator.init("f2", LABELS, rng(), "sampled")
    gaussian = generator.init("f2", LABELS, rng(), "gaussian")
    assert torch.equal(gaussian["w"], sampled["w"])
    assert not torch.equal(gaussian["f"], sampled["f"])
    count = sampled["f"][0].numel()
    for found, like in zip(gaussian["f"], sampled["f"], strict=True):
        deviation = float(like.std())
        # Five standard errors.
        assert float(found.mean()) == pytest.approx(float(like.mean()), abs=5 * deviation / count**0.5)
        assert float(found.std()) == pytest.approx(deviation, rel=5 / (2 * count) ** 0.5)


def test_average_codes_are_the_mean_of_many():
    generator = build_generator(CONFIG_T)
    average = generator.init("w+", LABELS, rng(), "average")["w"]
    same, other = average[2] - average[3], average[2] - average[0]
    assert same.square().mean() < 0.1 * other.square().mean(), "images of a class nearly coincide"
    z = torch.randn(1000, CONFIG_T.z_dim, generator=rng())
    expected = generator.network.mapping(z, torch.zeros(1000, dtype=torch.long)).mean(dim=0)
    torch.testing.assert_close(average[0, 0], expected)


def test_broken_features_are_cleaned():
    generator = build_generator(CONFIG_T)
    generator.network.synthesis.layers[0].bias.copy_(
        torch.tensor([float("nan"), float("inf"), -float("inf"), 1e6, 0.0])
    )
    f = generator.init("f1", LABELS, rng(), "sampled")["f"]
    assert torch.isfinite(f).all()
    assert f.abs().max() == 10
    middle = f[:, :, 18, 18]
    assert (middle[:, 0] == 0).all()
    assert (middle[:, 3] == 10).all()


def test_a_seed_is_a_network():
    latents = drawn(build_generator(CONFIG_T), "f1")
    torch.manual_seed(1)
    first = build_generator(CONFIG_T).decode("f1", latents)
    torch.manual_seed(2)
    assert torch.equal(build_generator(CONFIG_T).decode("f1", latents), first)
    for other in (CONFIG_T.replace(seed=4), CONFIG_T.replace(calibrate=False)):
        assert not torch.equal(build_generator(other).decode("f1", latents), first)
        assert other.content_id != CONFIG_T.content_id


def test_draws_come_from_the_rng_alone():
    generator = build_generator(CONFIG_T)
    torch.manual_seed(1)
    first = generator.init("f1", LABELS, rng(5), "gaussian")
    torch.manual_seed(2)
    again, other = (generator.init("f1", LABELS, rng(seed), "gaussian") for seed in (5, 6))
    assert all(torch.equal(first[kind], again[kind]) for kind in first)
    assert not any(torch.equal(first[kind], other[kind]) for kind in first)


def test_random_weights_are_what_training_starts_from():
    record = RandomStyleGAN(channel_max=64, classes=50)
    state = random_state(record.mapping_settings, record.synthesis_settings, rng())
    frequencies = state["synthesis.input.freqs"].norm(dim=1) / record.synthesis_settings.input.bandwidth
    assert float(frequencies.max()) < 1
    assert float(frequencies.square().mean()) == pytest.approx(0.5, abs=0.15), "evenly over the disc"
    assert -0.5 <= float(state["synthesis.input.phases"].min()) < float(state["synthesis.input.phases"].max()) < 0.5
    for name, deviation in {
        "mapping.fc0": 100,
        "mapping.embed_proj": 1,
        "mapping.embed": 1,
        "synthesis.L0_36_64": 1,
    }.items():
        assert float(state[f"{name}.weight"].std()) == pytest.approx(deviation, rel=0.05)
    assert (state["synthesis.L5_52_64.affine.bias"] == 1).all()
    # Unconditional networks lack the class part.
    fewer = random_state(record.replace(classes=0).mapping_settings, record.synthesis_settings, rng())
    assert {name for name in state if name not in fewer} == {
        "mapping.embed.weight", "mapping.embed_proj.weight", "mapping.embed_proj.bias"
    }  # fmt: skip
    assert fewer["mapping.fc0.weight"].shape == (512, 64)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_calibration_meets_its_aims_on_its_own_samples(record):
    plain = random_state(record.mapping_settings, record.synthesis_settings, draws := rng(record.seed))
    again = rng(record.seed)
    again.set_state(draws.get_state())
    state = calibrated(record.mapping_settings, record.synthesis_settings, plain, draws)
    z = torch.randn(SAMPLES, record.z_dim, generator=again)
    labels = torch.arange(SAMPLES) % max(record.classes, 1)
    w = MappingNetwork(record.mapping_settings, state)(z, labels)
    synthesis = SynthesisNetwork(record.synthesis_settings, state)
    x = synthesis.input(w)
    for layer in synthesis.layers:
        power = x.square().mean()
        assert float(layer.input_gain) == pytest.approx(float(power) ** -0.5, rel=1e-4)
        y = layer.convolve(x, w)
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(y.shape[1]), rtol=0, atol=1e-4)
        x = layer.activate(y)
    images = x * record.synthesis_settings.output_scale
    strengths = images.square().mean(dim=(1, 2, 3)).sqrt()
    assert float(strengths.median()) == pytest.approx(IMAGE_DEVIATION, rel=1e-4)
    # The kernels and the maps from codes to styles are those that were drawn.
    changed = {name.rsplit(".", 1)[1] for name in state if not torch.equal(state[name], plain[name])}
    assert changed == {"magnitude_ema", "bias", "weight"}
    weights = {name for name in state if name.endswith("weight") and not torch.equal(state[name], plain[name])}
    assert weights == {f"synthesis.{record.synthesis_settings.layers[-1].name}.weight"}


@pytest.mark.parametrize("kernel_size", [3, 1])
@pytest.mark.parametrize("seed", range(3))
def test_calibrated_images_are_on_the_scale_of_real_ones(seed, kernel_size):
    record = RandomStyleGAN(image_channels=1, channel_max=16, kernel_size=kernel_size, seed=seed)
    labels = torch.arange(32) % 10
    deviations, contrasts = [], []
    for calibrate in (True, False):
        generator = build_generator(record.replace(calibrate=calibrate))
        images = generator.decode("w+", generator.init("w+", labels, rng(9), "sampled"))
        deviations.append(float(images.square().mean(dim=(1, 2, 3)).sqrt().median()))
        contrasts.append(float(images.std(dim=(2, 3)).median()))
    assert 0.5 * IMAGE_DEVIATION < deviations[0] < 2 * IMAGE_DEVIATION
    assert deviations[1] < 0.5 * IMAGE_DEVIATION
    assert contrasts[0] > 2 * contrasts[1]


@pytest.mark.parametrize("space", ["w+", "f2", "f8"])
def test_planned_work_is_the_work_done(space):
    record = RandomStyleGAN(channel_max=16, calibrate=False)
    generator = build_generator(record)
    latents = generator.init(space, LABELS[:1], rng(), "sampled")
    with FlopCounterMode(display=False) as counter:
        generator.decode(space, latents)
    assert record.synthesis_settings.multiply_adds(space) == pytest.approx(counter.get_total_flops() / 2, rel=0.05)


def test_errors_say_what_there_is():
    generator = build_generator(CONFIG_T)
    latents = generator.init("f2", LABELS, rng(), "sampled")
    with pytest.raises(UserError, match=r"'f6': it has w\+, f0, f1, f2, f3, f4, f5"):
        generator.init("f6", LABELS, rng(), "sampled")
    with pytest.raises(UserError, match="'f6'"):
        generator.decode("f6", latents)
    with pytest.raises(UserError, match="another generator's"):
        generator.decode("f0", latents)
    with pytest.raises(UserError, match="another generator's"):
        generator.decode("w+", latents)
    with pytest.raises(UserError, match=r"Labels from 0 to 3 .* 3 classes"):
        generator.init("w+", torch.tensor([0, 3]), rng(), "sampled")
    with pytest.raises(UserError, match=r"'noise'.* Known: sampled, average, gaussian"):
        generator.init("w+", LABELS, rng(), "noise")
    with pytest.raises(UserError, match=r"w\+ lacks"):
        generator.init("w+", LABELS, rng(), "gaussian")
