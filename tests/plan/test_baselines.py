"""Baselines at equal images, equal bytes and equal compute, and what sets take to keep."""

import pytest

from glad_ray import baselines
from glad_ray.errors import UserError
from glad_ray.plan.cost import estimate, expert_flops, training_flops
from glad_ray.spec import (
    DM,
    MTT,
    RDED,
    Evaluation,
    Experts,
    KMeans,
    RandomReal,
    RandomStyleGAN,
    Run,
    WholeDataset,
)
from tests.generators import kinds

GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=8, w_dim=8, z_dim=8)
PIXEL = Run(algorithm=DM(), resolution=32, held_out=5, seed=3, images_per_class=2)
LATENT = PIXEL.replace(space="f2", generator=GENERATOR)


def test_bytes_by_hand():
    # 20 images of 32 x 32 float32 numbers.
    assert (PIXEL.set_bytes, PIXEL.generator_bytes) == (20 * 1024 * 4, 0)
    f, w = (LATENT.generator.latent_shapes("f2")[kind] for kind in ("f", "w"))
    assert LATENT.set_bytes == 20 * 4 * (f[0] * f[1] * f[2] + w[0] * w[1])
    assert LATENT.generator_bytes == 4 * GENERATOR.parameter_count
    # 8-bit pixels; 400 training images a class, of which 5 are held out.
    assert Run(algorithm=RandomReal(), resolution=32, images_per_class=2).set_bytes == 20 * 1024
    assert Run(algorithm=WholeDataset(), resolution=32, held_out=5).set_bytes == 3950 * 1024
    soft = PIXEL.replace(algorithm=MTT(labels="soft"))
    assert soft.set_bytes == PIXEL.set_bytes + 20 * 10 * 4


def test_equal_images():
    random, k_means = baselines([PIXEL, LATENT], [RandomReal(), KMeans()])
    assert (random.algorithm.name, k_means.algorithm.name) == ("random", "kmeans")
    assert (random.images_per_class, random.held_out, random.seed, random.pixels) == (2, 5, 3, 32)


def test_equal_bytes():
    (of_pixels,) = baselines([PIXEL], [RandomReal()], equal=["bytes"])
    assert of_pixels.set_bytes == PIXEL.set_bytes
    assert of_pixels.images_per_class == 8
    (of_latents,) = baselines([LATENT], [RandomReal()], equal=["bytes"])
    count = of_latents.images_per_class
    assert 10 * count * 1024 <= LATENT.set_bytes + LATENT.generator_bytes < 10 * (count + 1) * 1024
    # Never more than there are, never none.
    many, one = (LATENT.replace(images_per_class=395), Run(algorithm=RandomReal()))
    assert [run.images_per_class for run in baselines([many, one], [RandomReal()], equal=["bytes"])] == [395, 1]


@pytest.mark.parametrize("labels", ["soft", "online"])
@pytest.mark.parametrize("run", [PIXEL, LATENT, PIXEL.replace(algorithm=MTT(labels="soft"))], ids=lambda run: run.label)
def test_labels_count_among_equal_bytes(run, labels):
    evaluation = Evaluation(labels=labels, teacher=Experts(count=2))
    (made,) = baselines([run], [RandomReal()], equal=["bytes"], evaluation=evaluation)

    def taken(of):
        return of.set_bytes + of.generator_bytes + evaluation.label_bytes(of)

    assert taken(made) <= taken(run) < taken(made.replace(images_per_class=made.images_per_class + 1))
    if labels == "soft" and run is PIXEL:
        # 20 images of 1024 + 10 float32 numbers; real ones of 1024 bytes with 10 such numbers.
        assert made.images_per_class == 2 * 4 * 1034 // (1024 + 40)


@pytest.mark.parametrize("baseline", [RandomReal(), RDED(observer=Experts(count=1, epochs=2))], ids=lambda of: of.name)
@pytest.mark.parametrize("labels", ["hard", "online"])
def test_equal_compute(baseline, labels):
    evaluation = Evaluation(epochs=100, labels=labels)
    algorithms = DM(iterations=400, real_batch_size=64), MTT(iterations=40, experts=Experts(count=2, epochs=3))
    for run in (each.replace(algorithm=algorithm) for each in (PIXEL, LATENT) for algorithm in algorithms):
        (made,) = baselines([run], [baseline], equal=["compute"], evaluation=evaluation)

        def taken(of):
            experts = expert_flops(of.expert_set) if of.expert_set else 0
            return experts + estimate(of, ()).distill_flops + training_flops(of, evaluation, of.backbone)

        more = made.replace(images_per_class=made.images_per_class + 1)
        assert taken(made) <= taken(run) < taken(more), run.label
        assert 2 < made.images_per_class < 395


def test_compute_that_is_not_known_is_told():
    unknown = PIXEL.replace(space="z", generator=kinds.BLOBS)
    with pytest.raises(UserError, match="those of its generator are not known: leave 'compute' out"):
        baselines([unknown], [RandomReal()], equal=["compute"])


def test_the_whole_dataset_is_one_baseline():
    (whole,) = baselines([PIXEL, PIXEL.replace(images_per_class=7)], [WholeDataset()], equal=["images", "bytes"])
    assert whole.ipc is None
    assert "ipc" not in whole.label
