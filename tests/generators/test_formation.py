"""Training images cut out of stored ones: their order, their gradients, what a run says of them, and a whole run."""

import math

import pytest
import torch
import torch.nn.functional as F

from glad_ray.distillation import Inputs, build_space, distill
from glad_ray.engine.jobs import WorkClass
from glad_ray.errors import UserError
from glad_ray.exchange.image_folder import write_image_folder
from glad_ray.exchange.image_tensors import IMAGES, write_image_tensors
from glad_ray.generators import FormationSpace, build_generator, mixed, training_images
from glad_ray.plan.cost import estimate
from glad_ray.randomness import rng_for
from glad_ray.spec import DM, MTT, Evaluation, Formation, Network, RandomReal, RandomStyleGAN, Run
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds

CPU = torch.device("cpu")
GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
PLAIN = Run(algorithm=DM(iterations=3, real_batch_size=4), resolution=32, images_per_class=2, backbone=Network(width=4))
RUN = PLAIN.replace(formation=2)


def _space(run, sample):
    return build_space(run, sample, build_generator(run.generator) if run.generator else None, CPU)


def _labels(run):
    return torch.arange(10).repeat_interleave(run.images_per_class)


@pytest.mark.parametrize("formation", [Formation(factor=3, kind="multi"), Formation(factor=2, kind="bound", bound=5)])
def test_images_come_class_by_class(formation):
    stored = torch.randn(6, 3, 7, 10, generator=rng_for("stored", "images"))
    together = training_images(stored, formation, classes=3, grey=(0.1, 0.2, 0.3))
    alone = [training_images(of_class, formation, grey=(0.1, 0.2, 0.3)) for of_class in stored.split(2)]
    assert torch.equal(together, torch.cat(alone))
    assert len(together) == 3 * formation.images(2)


def test_pieces_are_slices_made_larger_and_grey_beyond_the_edge():
    stored = torch.randn(2, 1, 5, 5, generator=rng_for("stored", "images"), dtype=torch.float64)
    made = training_images(stored, Formation(factor=2), grey=(0.7,))
    whole = torch.full((2, 1, 6, 6), 0.7, dtype=torch.float64)
    whole[:, :, :5, :5] = stored
    expected = [
        F.interpolate(whole[:, :, i : i + 3, j : j + 3], (5, 5), mode="bilinear") for i in (0, 3) for j in (0, 3)
    ]
    torch.testing.assert_close(made, torch.cat(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "where",
    [
        {"space": "pixel"},
        {"space": "f2", "generator": GENERATOR},
        {"space": "f2", "generator": GENERATOR, "learn_generator": True},
    ],
    ids=lambda where: where["space"],
)
def test_gradients_are_pulled_back_through_the_pieces(where, sample):
    run = RUN.replace(**where, formation=Formation(factor=3, kind="multi"))
    prior = run.generator and build_generator(run.generator, dtype=torch.float64, learn=run.learn_generator)
    space = build_space(run, sample, prior, CPU)
    latents = {name: value.double() for name, value in space.init(_labels(run), rng_for("start", "init")).items()}
    images = space.decode(latents)
    assert len(images) == 10 * run.training_images_per_class
    weights = torch.randn(images.shape, generator=rng_for("weights", "images"), dtype=torch.float64)
    for name, grad in space.pullback(latents, weights).items():
        direction = torch.randn(grad.shape, generator=rng_for("direction", name), dtype=torch.float64)
        direction = 1e-5 * (direction / direction.norm() + grad / grad.norm())
        up, down = (space.decode(latents | {name: latents[name] + sign * direction}) for sign in (1, -1))
        slope = ((up - down) * weights).sum() / 2
        assert float(slope) == pytest.approx(float((grad * direction).sum()), rel=1e-5)


def test_a_start_holds_real_images_of_its_class(sample):
    space = _space(RUN, sample)
    stored = space.init(_labels(RUN), rng_for("start", "init"))["pixels"]
    real = torch.from_numpy(sample.train_images).float()
    places = (stored * sample.std[0] + sample.mean[0]).mul(255).round().unflatten(2, (2, 16)).unflatten(4, (2, 16))
    small = real[:, :, ::2, ::2].flatten(1)
    for label in range(10):
        own = small[torch.from_numpy(sample.train_labels) == label]
        for image in places[2 * label : 2 * label + 2]:
            for piece in image.permute(1, 3, 0, 2, 4).reshape(4, -1):
                assert (own == piece).all(1).any()


def test_a_clustered_start_takes_other_images_for_every_place(sample):
    run = RUN.replace(init="clustered")
    pixels = _space(run, sample).init(_labels(run), rng_for("start", "init"))["pixels"]
    again = _space(run, sample).init(_labels(run), rng_for("start", "init"))["pixels"]
    assert torch.equal(pixels, again)
    assert not torch.equal(pixels, _space(RUN, sample).init(_labels(run), rng_for("start", "init"))["pixels"])


def test_layout_of_a_side_that_is_not_divided():
    """By hand: a row of five numbers, of which two images give the first three and the last two columns."""
    real = torch.arange(20.0).view(4, 1, 1, 5).expand(-1, -1, 5, -1)
    made = mixed(real, 2)
    assert made.shape == (1, 1, 5, 5)
    assert made[0, 0, 0].tolist() == [0, 1, 3, 5, 7]
    assert made[0, 0, 4].tolist() == [10, 11, 13, 15, 17]


def test_a_run_says_what_it_holds():
    assert PLAIN.formation == Formation()
    assert "formation" not in PLAIN.model_dump()
    assert PLAIN.replace(formation=1).run_id == PLAIN.run_id != RUN.run_id
    assert Run.model_validate_json(RUN.model_dump_json()).run_id == RUN.run_id
    assert RUN.training_images_per_class == 8
    assert RUN.label == "dm pixel fashion-mnist-sample ipc 2 formation 2 seed 0"
    # What is stored is the same; what networks are trained on is not.
    assert RUN.set_bytes == PLAIN.set_bytes
    soft, plain = (MTT(labels="soft") for _ in range(2))
    more = RUN.replace(algorithm=soft).set_bytes - PLAIN.replace(algorithm=plain).set_bytes
    assert more == 4 * 10 * 10 * (8 - 2)
    evaluations = [Evaluation(networks=(Network(width=4),), test_images=10)]
    costs = [estimate(run, evaluations) for run in (PLAIN, RUN)]
    assert costs[1].evaluate_flops / costs[0].evaluate_flops == pytest.approx(4, rel=0.01)
    assert costs[1].distill_flops > costs[0].distill_flops
    assert WorkClass.of_distillation(RUN) != WorkClass.of_distillation(PLAIN)
    of_evaluation = [WorkClass.of_evaluation(run, evaluations[0], Network(width=4)) for run in (PLAIN, RUN)]
    assert of_evaluation[0] != of_evaluation[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formation": 0}, "Formation.factor is 0"),
        ({"formation": 40}, "smaller than a pixel"),
        ({"formation": Formation(factor=2, kind="bound", bound=1)}, "formation.bound is 1"),
        ({"formation": 2, "whitening": "zca"}, "whitened"),
        ({"formation": 2, "algorithm": RandomReal()}, "leave formation out"),
        ({"init": "clustered", "space": "f2", "generator": GENERATOR}, "not one of f2"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        PLAIN.replace(**changes)


def test_bound_gives_each_image_one_training_image_at_least():
    for stored in range(1, 12):
        for bound in range(stored, 40):
            formation = Formation(factor=3, kind="bound", bound=bound)
            parts = formation.parts(stored)
            assert [part.first for part in parts] == [0, *(part.last for part in parts[:-1])]
            assert parts[-1].last == stored
            assert stored <= formation.images(stored) <= bound


@pytest.mark.parametrize("where", [{}, {"space": "f3", "generator": kinds.autoencoder(32), "init": "clustered"}])
def test_a_whole_run(where, sample, storage, tmp_path):
    run = RUN.replace(**where)
    space = _space(run, sample)
    assert isinstance(space, FormationSpace)
    inputs = Inputs(run, space, sample, None, CPU)
    distill(inputs, storage, lambda progress: None)
    path = storage.synthetic_set_path(run.run_id)
    synthetic = SyntheticSet.from_bytes(storage.read_bytes(path), path)
    assert synthetic.images.shape == (80, 1, 32, 32)
    assert torch.equal(synthetic.labels, torch.arange(10).repeat_interleave(8))
    kept = sum(value.numel() for value in synthetic.latents.values())
    assert 4 * kept == run.set_bytes
    shown = synthetic.as_stored()
    assert torch.equal(shown.labels, _labels(run))
    assert torch.equal(training_images(shown.images, run.formation, classes=10, grey=space.grey), synthetic.images)
    if not where:
        assert torch.equal(shown.images, synthetic.latents["pixels"])
    assert storage.read_bytes(storage.images_path(run.run_id)) == shown.png_grid()
    # What is handed on is what networks are trained on.
    write_image_folder(synthetic, tmp_path / "folder")
    assert len(list((tmp_path / "folder").rglob("*.png"))) == 80
    write_image_tensors(synthetic, tmp_path / "tensors")
    assert torch.equal(torch.load(tmp_path / "tensors" / IMAGES), synthetic.images)
    assert all(math.isfinite(float(value.sum())) for value in synthetic.latents.values())
