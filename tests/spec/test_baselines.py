"""Baselines at equal images and at equal bytes, and what sets take to keep."""

from glad_ray.spec import DM, MTT, KMeans, RandomReal, RandomStyleGAN, Run, WholeDataset, baselines
from glad_ray.spec.baselines import images_for_bytes

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
    count = images_for_bytes(LATENT)
    assert 10 * count * 1024 <= LATENT.set_bytes + LATENT.generator_bytes < 10 * (count + 1) * 1024
    # Never more than there are, never none.
    assert images_for_bytes(LATENT.replace(images_per_class=395)) == 395
    assert images_for_bytes(Run(algorithm=RandomReal())) == 1


def test_the_whole_dataset_is_one_baseline():
    (whole,) = baselines([PIXEL, PIXEL.replace(images_per_class=7)], [WholeDataset()], equal=["images", "bytes"])
    assert whole.ipc is None
    assert "ipc" not in whole.label
