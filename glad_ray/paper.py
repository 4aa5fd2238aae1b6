"""GLaD's experiments as data: datasets, priors, layers and budget (Cazenavette et al., CVPR 2023, and its supplement).

Algorithms, networks and evaluation are the defaults of their records, which are the paper's but for DC's distance of
gradients, which is that of its code.
"""

from collections.abc import Iterable

from glad_ray.spec import DC, DM, MTT, Network, RandomStyleGAN, Run, StyleGANFile, grid
from glad_ray.spec.networks import PAPER_NETWORKS

FIVE = ("imagenet-a", "imagenet-b", "imagenet-c", "imagenet-d", "imagenet-e")
TEN = (*FIVE, "imagenette", "imagewoof", "imagenet-birds", "imagenet-fruits", "imagenet-cats")
"""ten classes of ImageNet each"""

ALGORITHMS = {"dc": DC(), "dm": DM(), "mtt": MTT()}
LAYERS = {name: algorithm.paper_layer for name, algorithm in ALGORITHMS.items()}
"""best for unseen networks at 128 pixels (Figure 3)"""
UNSEEN = tuple(name for name in PAPER_NETWORKS if name != Network().name)

RANDOM_256 = RandomStyleGAN(resolution=256, num_layers=17, channel_base=32768, channel_max=512, calibrate=False)
RANDOM_32 = RandomStyleGAN(resolution=32, classes=10, channel_base=32768, channel_max=512, calibrate=False)
"""the paper's "Rand G" """


def prior(trained_on: str, resolution: int) -> StyleGANFile:
    """A released StyleGAN-XL, to be put at `generators/imagenet128.pkl`, ..."""
    name = trained_on if trained_on == "cifar10" else f"{trained_on}{resolution}"
    return StyleGANFile(path=f"generators/{name}.pkl", trained_on=trained_on, resolution=resolution)


FOUR_PRIORS = (prior("imagenet", 256), prior("ffhq", 256), prior("pokemon", 256), RANDOM_256)


def table1_runs() -> tuple[Run, ...]:
    """One image per class: Table 1, and Table 2 of the supplement, which scores the network that distilled."""
    return pixels_and_latents(TEN, ALGORITHMS, resolution=128, images_per_class=1)


def table2_runs() -> tuple[Run, ...]:
    """Ten images per class: Table 2, which is Table 3 of the supplement."""
    return pixels_and_latents(FIVE, ("dc", "dm"), resolution=128, images_per_class=10)


def pixels_and_latents(
    datasets: Iterable[str], algorithms: Iterable[str], *, resolution: int, images_per_class: int
) -> tuple[Run, ...]:
    """Each algorithm on each dataset, in pixel space and in its layer of ImageNet's StyleGAN-XL."""
    return tuple(
        run
        for dataset in datasets
        for algorithm in algorithms
        for run in grid(
            Run(
                dataset=dataset,
                resolution=resolution,
                algorithm=ALGORITHMS[algorithm],
                images_per_class=images_per_class,
                backbone=Network(),
            ),
            where=[
                {"space": "pixel"},
                {"space": LAYERS[algorithm], "generator": prior("imagenet", resolution)},
            ],
        )
    )
