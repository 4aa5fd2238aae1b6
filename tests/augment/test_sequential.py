"""The sequential augmentation: what it draws, several chains in one call, exact adjoints, and where it is used."""

import pytest
import torch

from glad_ray.augment import apply, augment, draw
from glad_ray.augment.operations import apply_operation
from glad_ray.augment.sequential import chains
from glad_ray.errors import UserError
from glad_ray.spec import DM, DSA, Evaluation, Run
from glad_ray.spec.images.augmentation import OPERATIONS

ALL = "sequential:cutout_rotate_color_crop_flip_scale"


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x():
    return torch.randn(12, 3, 16, 12, generator=_rng(1), dtype=torch.float64)


def test_chains_have_one_order_and_one_of_three():
    assert chains(("cutout", "rotate", "color", "crop", "flip")) == (
        ("flip", "color", "rotate", "cutout"),
        ("flip", "color", "crop", "cutout"),
    )
    assert chains(("cutout",)) == (("cutout",),)
    assert chains(("scale", "crop")) == (("scale",), ("crop",))


def test_what_is_drawn_is_uniform_and_may_be_shared():
    counts = torch.bincount(draw(ALL, 3000, _rng()).operations, minlength=3)
    assert (counts - 1000).abs().max() < 110  # four standard deviations
    assert len(draw(ALL, 50, _rng(), shared_operation=True).operations.unique()) == 1
    assert draw(ALL, 1, _rng()).uniforms.shape == (1, 12)


def test_one_call_is_each_image_by_itself(x):
    draws, index = draw(ALL, 5, _rng(2)), torch.arange(12) % 5
    together = apply(x, draws, index)
    assert len(draws.operations.unique()) > 1
    for i in range(12):
        assert torch.equal(apply(x[i : i + 1], draws, index[i : i + 1])[0], together[i])
        assert torch.equal(apply(x[i : i + 1], draws.only(i % 5))[0], together[i])


def test_operations_are_applied_one_after_another(x):
    """The parameters made by hand, and each operation called by itself."""
    draws = draw("sequential:flip_color_scale_cutout", 12, _rng(3))
    u = draws.uniforms.unbind(1)
    low, high = 1 / 1.2, 1.2
    steps = [
        ("flip", {"flipped": u[0] < 0.5}),
        ("brightness", {"offset": u[3] - 0.5}),
        ("saturation", {"factor": 2 * u[4]}),
        ("contrast", {"factor": u[5] + 0.5}),
        ("scale", {"sx": u[6] * (high - low) + low, "sy": u[7] * (high - low) + low}),
        ("cutout", {"center_h": (u[9] * 17).long(), "center_w": (u[10] * 13).long()}),
    ]
    expected = x
    for name, numbers in steps:
        expected = apply_operation(name, expected, numbers, align_corners=False)
    torch.testing.assert_close(apply(x, draws), expected, rtol=0, atol=1e-12)


def test_gradient(x):
    leaf = x[:2, :, :5, :4].clone().requires_grad_()
    draws = draw(ALL, 2, _rng(5))
    assert len(draws.operations.unique()) > 1
    assert torch.autograd.gradcheck(lambda images: apply(images, draws), leaf)
    assert torch.autograd.gradgradcheck(lambda images: apply(images, draws), leaf)


def test_deterministic_sampling_is_the_same(x, monkeypatch):
    draws = draw("sequential:rotate_scale", 12, _rng(6))
    expected = apply(x, draws)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    torch.testing.assert_close(apply(x, draws), expected, rtol=0, atol=1e-12)


def test_edges_and_pixel_centres_differ_where_images_are_not_square(x):
    numbers = {"angle_rad": torch.full((12,), 0.2, dtype=torch.float64)}

    def difference(images):
        by_edges = apply_operation("rotate", images, numbers, align_corners=False)
        return (apply_operation("rotate", images, numbers) - by_edges).abs().max()

    assert difference(x[:, :, :12]) < 1e-12
    assert difference(x) > 1e-3


def test_training_draws_parameters_per_image(x):
    same = x[:1].expand(12, -1, -1, -1)
    out = augment(same, "sequential:color_crop", _rng(6))
    assert any(not torch.equal(out[0], out[i]) for i in range(1, 12))


def test_a_run_and_its_evaluation():
    plain, run = Run(algorithm=DM()), Run(algorithm=DM(), augmentation="sequential:color_crop_cutout")
    assert (plain.augmentation, run.augmentation) == (DSA, "sequential:color_crop_cutout")
    assert run.run_id != plain.run_id
    # Sets are scored alike, whatever they were distilled with; an evaluation may say otherwise.
    assert Evaluation().augmentation_for(run) == DSA == "_".join(OPERATIONS)
    assert Evaluation(augmentation="sequential:color").augmentation_for(plain) == "sequential:color"
    with pytest.raises(UserError, match="Did you mean 'flip'"):
        Run(algorithm=DM(), augmentation="sequential:color_flop")
    with pytest.raises(UserError, match="Unknown augmentation ''"):
        Run(algorithm=DM(), augmentation="sequential:")
