"""RDED against what its code computed, and against its definition written out another way."""

import math

import numpy as np
import pytest
import torch

from glad_ray.augment import Crop, resized_crop, shuffled_parts
from glad_ray.coresets import choose_images, rded
from glad_ray.coresets.rded import in_bytes, padded, realism_losses, select, stitch
from glad_ray.data import denormalise
from glad_ray.errors import UserError
from glad_ray.networks import build_network
from glad_ray.spec import RDED, Experts, Network, Run
from tests.golden_numbers import golden, images, s_like, set_parameters

ARRAYS, FACTS = golden("successors/hpd_idc_dream_rded/rded")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("case", FACTS["select"])
def test_choices(case):
    facts = FACTS["select"][case]
    number, crops, factor, side, patch = (facts[key] for key in ("images", "crops", "factor", "side", "patch_side"))
    patches = images(number * crops, 3, patch, patch, facts["salt"])
    if facts["scorer"] == "net":
        network = build_network(Network(width=8, depth=3), channels=3, resolution=32, classes=10, rng=None)
        set_parameters(network, math.sqrt(2))
        with torch.no_grad():
            logits = network.eval()(padded(patches, side)).view(number, crops, 10)
    else:
        logits = torch.from_numpy(3 * s_like((number, crops, 10), 5000 + facts["salt"])).float()
    np.testing.assert_allclose(logits, ARRAYS[f"select/{case}/logits"], rtol=1e-4, atol=1e-5)
    losses = realism_losses(logits, facts["label"])
    np.testing.assert_allclose(losses, ARRAYS[f"select/{case}/losses"], rtol=1e-4, atol=1e-6)
    best, chosen = select(losses, facts["ipc"] * factor**2)
    assert best.tolist() == ARRAYS[f"select/{case}/best_crop"].tolist()
    assert chosen.tolist() == ARRAYS[f"select/{case}/chosen_images"].tolist()
    ranked = patches.view(number, crops, 3, patch, patch)[chosen, best[chosen]]
    np.testing.assert_array_equal(stitch(ranked, side, factor), ARRAYS[f"select/{case}/stitched"])


@pytest.mark.parametrize("case", FACTS["stitch"])
def test_stitching(case):
    facts = FACTS["stitch"][case]
    side, factor, count = facts["side"], facts["factor"], facts["ipc"] * facts["factor"] ** 2
    patch = side // factor
    rows = np.linspace(0, 0.9, patch)[:, None] + 0.01 * np.arange(patch)
    patches = torch.from_numpy(np.arange(count)[:, None, None, None] + np.broadcast_to(rows, (3, patch, patch)))
    stitched = stitch(patches.float(), side, factor)
    np.testing.assert_allclose(stitched, ARRAYS[f"stitch/{case}/out"], rtol=1e-6)


@pytest.mark.parametrize("case", FACTS["crops"])
def test_crops(case):
    facts = FACTS["crops"][case]
    height, width, salt = {"A": (40, 48, 60), "B": (32, 32, 61), "C": (20, 26, 62)}[case]
    assert facts["image"] == f"0.5+0.2*images(1,3,{height},{width},{salt})[0]"
    image = 0.5 + 0.2 * images(1, 3, height, width, salt)
    crops = [resized_crop(image, Crop(*box), facts["out_side"]) for box in facts["top_left_height_width"]]
    np.testing.assert_allclose(torch.cat(crops), ARRAYS[f"crops/{case}/out"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", FACTS["shuffle"])
def test_shuffled_parts(case):
    facts = FACTS["shuffle"][case]
    image = images(1, 3, facts["side"], facts["side"], facts["salt"])
    columns, rows = (torch.tensor(facts[f"order_of_{what}"]) for what in ("columns", "rows"))
    assert len(columns) == facts["factor"]
    np.testing.assert_array_equal(shuffled_parts(image, columns, rows)[0], ARRAYS[f"shuffle/{case}/out"])


def test_truncated_pixels():
    normalised = 0.3 * images(2, 3, 6, 6, 56)
    unit = denormalise(normalised, *IMAGENET)
    # The recording clips to below 1, so that 255 is never reached.
    pixels = in_bytes(unit.clamp(max=1 - 1e-6), truncate=True, jpeg=False)
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1), ARRAYS["store/uint8"])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_changes_little_and_keeps_the_shape(channels):
    smooth = torch.linspace(0, 1, 16).expand(2, channels, 16, 16)
    kept = in_bytes(smooth, truncate=False, jpeg=True)
    assert kept.shape == smooth.shape
    assert (kept / 255 - smooth).abs().max() < 0.05
    noise = torch.rand(1, channels, 16, 16, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(in_bytes(noise, truncate=False, jpeg=True), in_bytes(noise, truncate=False, jpeg=False))


def test_what_an_observer_finds_realistic_is_made_of_the_images(sample):
    """This observer finds bright images realistic; crops are whole images."""
    run = Run(algorithm=RDED(images=60, crops=3, factor=2, smallest_area=1.0), resolution=32, images_per_class=2)
    observer = Brightness()
    made = [_made(run, sample, observer, seed) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    unit = denormalise(made[0], sample.mean, sample.std)
    for label, members in enumerate(sample.class_indices):
        ours, theirs = unit[2 * label : 2 * label + 2].mean(), sample.train_images[members].mean() / 255
        # Of 60 images the eight brightest.
        assert ours > 1.2 * theirs
        # The brightest stands top left.
        assert unit[2 * label, :, :16, :16].mean() >= unit[2 * label, :, 16:, 16:].mean() - 1e-6


class Brightness(torch.nn.Module):
    """Finds the class that is looked at the more likely the brighter an image is."""

    def forward(self, images):
        return images.mean((1, 2, 3))[:, None] * torch.eye(10)[self.label]


def _made(run, dataset, observer, seed):
    def losses(patches, candidates):
        observer.label = candidates.label
        return realism_losses(observer(padded(patches, 32)), candidates.label)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rded, "_losses", losses)
        return choose_images(run, dataset, None, torch.Generator().manual_seed(seed), torch.device("cpu"))


def test_too_few_images_for_the_patches(sample):
    run = Run(algorithm=RDED(images=7, factor=2), resolution=32, images_per_class=2)
    with pytest.raises(UserError, match=r"needs a patch of 8 images .* takes crops of 7: lower images_per_class"):
        choose_images(run, sample, None, torch.Generator(), torch.device("cpu"))


def test_settings():
    assert [RDED().factor_at(pixels) for pixels in (28, 64, 128)] == [1, 1, 2]
    assert RDED(factor=3).factor_at(28) == 3
    code = Run(algorithm=RDED(), profile="reference-code").algorithm
    assert (code.truncate, code.jpeg) == (True, True)
    assert (RDED().truncate, RDED().jpeg) == (False, False)
    run = Run(algorithm=RDED(observer=Experts(count=1, epochs=3)), images_per_class=4)
    # 8-bit pixels.
    assert run.set_bytes == 40 * 28 * 28
    assert run.expert_set.experts.epochs == 3
