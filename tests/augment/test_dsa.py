"""Draws and their application: ranges, siamese groups, one call for any mix, exact adjoints."""

import pytest
import torch
from kornia.geometry.transform import homography_warp

from glad_ray import machine
from glad_ray.augment import OPERATIONS, Draw, apply, apply_operation, augment, draw, parse_strategy
from glad_ray.errors import UserError
from glad_ray.spec import DSA


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x():
    return torch.randn(12, 3, 16, 16, generator=_rng(1), dtype=torch.float64)


def test_strategy():
    assert parse_strategy(DSA) == OPERATIONS
    assert parse_strategy("") == ()
    with pytest.raises(UserError, match="Did you mean 'flip'"):
        parse_strategy("color_flop")


def test_same_rng_same_draws_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    first, second = draw(DSA, 9, _rng(3)), draw(DSA, 9, _rng(3))
    augment(torch.ones(4, 1, 8, 8), DSA, _rng())
    assert torch.equal(first.operations, second.operations)
    assert torch.equal(first.uniforms, second.uniforms)
    assert torch.equal(torch.get_rng_state(), before)


def test_operations_are_uniform():
    counts = torch.bincount(draw(DSA, 6000, _rng()).operations, minlength=6)
    assert (counts - 1000).abs().max() < 120  # four standard deviations
    assert len(draw(DSA, 50, _rng(), shared_operation=True).operations.unique()) == 1


def test_one_call_is_each_image_by_itself(x):
    draws, index = draw(DSA, 5, _rng(2)), torch.arange(12) % 5
    together = apply(x, draws, index)
    assert len(draws.operations.unique()) > 1
    for i in range(12):
        assert torch.equal(apply(x[i : i + 1], draws, index[i : i + 1])[0], together[i])


def test_thousands_of_images_in_one_call_are_one_class_at_a_time():
    """A step of DC or DM: 256 images a class, each class with its own operation and parameters."""
    images = torch.randn(2560, 1, 32, 32, generator=_rng(11))
    labels, draws = torch.arange(10).repeat_interleave(256), draw(DSA, 10, _rng(12))
    before = torch.get_rng_state()
    together = apply(images, draws, labels)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(draws.operations.unique()) > 3
    for label in range(10):
        of_class = Draw(draws.names, draws.operations[label : label + 1], draws.uniforms[label : label + 1])
        assert torch.equal(apply(images[labels == label], of_class), together[labels == label])


def test_siamese_images_of_a_class_are_treated_alike(x):
    draws = draw(DSA, 2, _rng(4))
    same = x[:1].expand(6, -1, -1, -1)
    out = apply(same, draws, torch.tensor([0, 1, 0, 1, 0, 1]))
    assert torch.equal(out[0], out[2])
    assert torch.equal(out[1], out[3])
    assert not torch.equal(out[0], out[1])


def test_no_strategy_changes_nothing(x):
    assert augment(x, "", _rng()) is x


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradient(operation, x):
    x = x[:3, :, :8, :6].clone().requires_grad_()
    draws = draw(operation, 3, _rng(5))
    assert torch.autograd.gradcheck(lambda images: apply(images, draws), x)
    assert torch.autograd.gradgradcheck(lambda images: apply(images, draws), x)


def test_colors_in_few_operations_are_the_three_steps(x, monkeypatch):
    draws = draw("color", 12, _rng(5))

    def outcome():
        leaf = x.clone().requires_grad_()
        out = apply(leaf, draws)
        return out, *torch.autograd.grad((out**3).sum(), leaf)

    steps = outcome()
    monkeypatch.setattr(machine, "few_operations_are_fast", lambda device: True)
    torch.testing.assert_close(outcome(), steps, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradgradcheck(lambda images: apply(images, draws), x[:, :, :3, :2].clone().requires_grad_())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_training_draws_parameters_per_image(operation, x):
    same = x[:1].expand(12, -1, -1, -1)
    out = augment(same, operation, _rng(6))
    assert any(not torch.equal(out[0], out[i]) for i in range(1, 12))


def test_crop_and_cutout_reach_their_whole_range():
    ones = torch.ones(4000, 1, 8, 8)
    kept = augment(ones, "crop", _rng(7)).flatten(1).sum(1)
    assert kept.max() == 64
    assert kept.min() == 49  # one pixel in both directions
    left = 64 - augment(ones, "cutout", _rng(8)).flatten(1).sum(1)
    assert left.max() == 16
    assert left.min() == 4  # a corner


def test_one_set_for_all_images(x):
    draws = draw(DSA, 1, _rng(9))
    assert torch.equal(apply(x, draws), apply(x, draws, torch.zeros(12, dtype=torch.int64)))


def test_sets_that_do_not_fit_the_images_are_refused(x):
    with pytest.raises(ValueError, match="12 images and 5 sets"):
        apply(x, draw(DSA, 5, _rng()))


@pytest.mark.parametrize("operation", ["scale", "rotate"])
def test_warps_are_kornias(operation, x):
    """An independent implementation of sampling at normalised coordinates, on images that are not square."""
    x = x[:, :, :11]
    u, v = torch.rand(2, 12, generator=_rng(10), dtype=torch.float64)
    if operation == "scale":
        ours = apply_operation("scale", x, {"sx": u + 0.5, "sy": v + 0.5})
        matrix = torch.diag_embed(torch.stack([u + 0.5, v + 0.5, torch.ones_like(u)], 1))
    else:
        ours = apply_operation("rotate", x, {"angle_rad": u - 0.5})
        matrix = torch.eye(3, dtype=torch.float64).repeat(12, 1, 1)
        matrix[:, 0, 0] = matrix[:, 1, 1] = (u - 0.5).cos()
        matrix[:, 1, 0] = (u - 0.5).sin()
        matrix[:, 0, 1] = -matrix[:, 1, 0]
    torch.testing.assert_close(ours, homography_warp(x, matrix, (11, 16), align_corners=True), rtol=0, atol=1e-12)
