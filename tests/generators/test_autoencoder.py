"""A diffusers autoencoder as a prior: its own encoding and decoding, in every space, with the gradients of autograd."""

import json

import pytest
import torch
from diffusers import AutoencoderKL

from glad_ray.errors import UserError
from glad_ray.generators import GeneratorSpace, build_generator
from glad_ray.spec import DM, DiffusersAutoencoder, Run
from tests.generators.autoencoders import save_autoencoder

SPACES = ["f0", "f1", "f2", "f3", "f4"]
LABELS = torch.tensor([0, 1, 1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_autoencoder(tmp_path_factory.mktemp("autoencoder"))


@pytest.fixture(scope="module")
def record(folder):
    return DiffusersAutoencoder(path=str(folder), resolution=16)


@pytest.fixture(scope="module")
def generator(record):
    return build_generator(record, dtype=torch.float64)


@pytest.fixture(scope="module")
def theirs(folder):
    return AutoencoderKL.from_pretrained(folder).double().eval()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=3):
    return torch.rand(count, 1, 16, 16, generator=rng(9)).double() * 2 - 1


def test_the_record_tells_what_the_network_has(record, generator, theirs):
    assert (record.image_channels, record.inits, record.spaces) == (1, ("real", "gaussian"), tuple(SPACES))
    decoding = [*theirs.decoder.parameters(), *theirs.post_quant_conv.parameters()]
    assert record.parameter_count == sum(each.numel() for each in decoding)
    for space in SPACES:
        latents = generator.init(space, LABELS, rng(), "real", images())
        assert {kind: tuple(value.shape[1:]) for kind, value in latents.items()} == record.latent_shapes(space)


@torch.no_grad()
@pytest.mark.parametrize("space", SPACES)
def test_encoded_images_decode_as_they_do_in_diffusers(space, generator, theirs):
    latents = generator.init(space, LABELS, rng(), "real", images())
    expected = theirs.decode(theirs.encode(images()).latent_dist.mode()).sample
    torch.testing.assert_close(generator.decode(space, latents), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("space", SPACES)
def test_pullback_is_the_derivative(space, generator):
    latents = generator.init(space, LABELS, rng(), "real", images())
    image_grads = torch.randn(images().shape, generator=rng(2)).double()
    direction = torch.randn(latents["f"].shape, generator=rng(3)).double()
    found = float((generator.pullback(space, latents, image_grads)["f"] * direction).sum())
    step = 1e-6
    ahead, behind = (
        (generator.decode(space, {"f": latents["f"] + sign * step * direction}) * image_grads).sum() for sign in (1, -1)
    )
    assert found == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-6)


def test_gaussian_starts_have_the_mean_and_deviation_of_encoded_ones(generator):
    encoded, drawn, other = (
        generator.init("f3", LABELS, rng(seed), how, images())["f"]
        for seed, how in ((0, "real"), (0, "gaussian"), (1, "gaussian"))
    )
    assert not torch.equal(drawn, other)
    count = drawn[0].numel()
    deviation, mean = torch.std_mean(encoded, dim=(1, 2, 3))
    found_deviation, found_mean = torch.std_mean(drawn, dim=(1, 2, 3))
    assert ((found_mean - mean).abs() < 5 * deviation / count**0.5).all()
    assert ((found_deviation / deviation - 1).abs() < 5 / (2 * count) ** 0.5).all()


def test_real_images_reach_it_in_its_own_range(generator, theirs):
    given = images()
    space = GeneratorSpace(
        generator, "f0", init="real", mean=[0.3], std=[0.2], real_images=lambda labels, rng: (given / 2 + 0.2) / 0.2
    )
    latents = space.init(LABELS, rng())
    with torch.no_grad():
        expected = theirs.encode(given).latent_dist.mode()
    torch.testing.assert_close(latents["f"], expected, rtol=0, atol=1e-10)


def test_identity_is_the_content_not_the_place(record, folder, tmp_path):
    elsewhere = save_autoencoder(tmp_path / "elsewhere")
    assert DiffusersAutoencoder(path=str(elsewhere), resolution=16).content_id == record.content_id
    config = json.loads((elsewhere / "config.json").read_text())
    (elsewhere / "config.json").write_text(json.dumps(config | {"scaling_factor": 2.0}))
    assert DiffusersAutoencoder(path=str(elsewhere), resolution=16).content_id != record.content_id
    with pytest.raises(UserError, match="it is another autoencoder"):
        DiffusersAutoencoder(path=str(elsewhere), resolution=16, sha256=record.sha256)
    read_again = DiffusersAutoencoder.model_validate_json(record.model_dump_json())
    assert read_again == record


def test_what_is_not_an_autoencoder_is_refused_in_a_sentence(tmp_path, folder, record):
    with pytest.raises(UserError, match=r"has no config\.json: name a folder"):
        DiffusersAutoencoder(path=str(tmp_path), resolution=16)
    with pytest.raises(UserError, match=r"does not divide by 4, by which .* upsamples: use 20"):
        DiffusersAutoencoder(path=str(folder), resolution=18)
    other = save_autoencoder(tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"_class_name": "VQModel"}))
    with pytest.raises(UserError, match="holds a VQModel: only AutoencoderKL"):
        DiffusersAutoencoder(path=str(other), resolution=16)
    broken = save_autoencoder(tmp_path / "broken")
    weights = broken / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="is not a whole autoencoder"):
        DiffusersAutoencoder(path=str(broken), resolution=16)


def test_runs_name_only_what_it_has(record):
    def run(**fields):
        return Run(**({"algorithm": DM(), "space": "f2", "generator": record} | fields))

    assert (run().init, run().pixels) == ("real", 16)
    assert run().set_bytes == 4 * 10 * 8 * 4 * 4
    with pytest.raises(UserError, match="has no layer f5: it has pixel, f0, f1, f2, f3, f4"):
        run(space="f5")
    with pytest.raises(UserError, match="use real, gaussian"):
        run(init="sampled")
    with pytest.raises(UserError, match="weights of a diffusers-autoencoder cannot be learned"):
        run(learn_generator=True)
    absent = DiffusersAutoencoder(path="nowhere/vae", resolution=16)
    assert "nowhere/vae is not there" in absent.missing
