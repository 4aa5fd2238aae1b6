"""What a distilled set is worth: beside real images, at equal images and equal bytes, with soft labels, without DSA.

Shows every baseline and score on one page, on the bundled sample of Fashion-MNIST and narrow networks: DM in pixels and
in a feature map of a small untrained generator; random images, herding and k-means, as many as the sets have, and
random images that take as many bytes; the whole dataset; hard-label recovery, improvement over random, label-robust and
augmentation-robust score. On the backbone one image per class made by DM in pixels beats four random ones, which take
as many bytes, and herding by less; twenty random images beat the latents whose bytes they take.

Cost: nine minutes of one CPU core, under 2 GiB of memory.

    glad-ray sweep sweeps/baselines.py
"""

import glad_ray
from glad_ray import (
    DM,
    Evaluation,
    Experts,
    Herding,
    KMeans,
    LearningRates,
    Network,
    RandomReal,
    RandomStyleGAN,
    Run,
    Sweep,
    WholeDataset,
    baselines,
    grid,
)

BACKBONE = Network(name="convnet", width=32)
GENERATOR = RandomStyleGAN(resolution=32, image_channels=1, channel_base=128, channel_max=8, w_dim=32)
TRAINED = Experts(count=1, epochs=5, batch_size=64)

HARD = Evaluation(
    networks=(BACKBONE, Network(name="vgg11", width=16)),
    repeats=2,
    epochs=100,
    whole_dataset_epochs=6,
    batch_size=64,
    learning_rates={"convnet": 0.01, "vgg11": 0.01},
)
PLAIN = HARD.replace(augmentation="")
SOFT = HARD.replace(labels="soft", teacher=TRAINED)


def sweep() -> Sweep:
    """Two distillations and all baselines, scored three times."""
    distilled = grid(
        Run(
            algorithm=DM(iterations=80, real_batch_size=64, learning_rates=LearningRates(pixels=1, f=0.5, w=0.005)),
            resolution=32,
            backbone=BACKBONE,
        ),
        where=[{"space": "pixel"}, {"space": "f10", "generator": GENERATOR, "init": "gaussian"}],
    )
    return Sweep(
        name="baselines",
        description=__doc__ or "",
        runs=(
            *distilled,
            *baselines(distilled, [RandomReal(), Herding(features=TRAINED), KMeans(features=TRAINED), WholeDataset()]),
            *baselines(distilled, [RandomReal()], equal=["bytes"]),
        ),
        evaluations=(HARD, PLAIN, SOFT),
    )


if __name__ == "__main__":
    glad_ray.main()
