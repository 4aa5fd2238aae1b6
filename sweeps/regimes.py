"""The same sets under three regimes of labels, beside real images at equal images, equal bytes and equal compute.

One image per class of the bundled sample of Fashion-MNIST, on narrow networks: DM in pixels, RDED, and real images that
are chosen at random, by herding, k-means, k-center greedy and EL2N. Networks are taught by the class alone (hard), by
class probabilities that a teacher gave each image once (fixed soft), and by a teacher that sees every augmented and
mixed mini-batch (teacher), as RDED's paper does it: AdamW, CutMix, a temperature of 20, a rate that ends at one half.
The report has the order of methods under each regime and Kendall's tau between the orders. Numbers of two regimes are
not to be compared: whoever has a teacher has a network trained on all of the real data.

At equal compute only random images are many: the network by whose features coresets go takes more than DM's steps.

Cost: 22 minutes of one CPU core as the plan estimates it, under 2 GiB of memory.

    glad-ray sweep sweeps/regimes.py
"""

import glad_ray
from glad_ray import (
    DM,
    EL2N,
    RDED,
    Evaluation,
    Experts,
    Herding,
    KCenter,
    KMeans,
    LearningRates,
    Mixing,
    Network,
    RandomReal,
    Run,
    Sweep,
    Views,
    baselines,
    grid,
)

BACKBONE = Network(name="convnet", width=32)
TRAINED = Experts(count=1, epochs=10, batch_size=64, lr=0.01, momentum=0.9)
"""observer of RDED, teacher of labels, and whose features the coresets go by"""
EARLY = Experts(count=5, epochs=1, batch_size=64)

HARD = Evaluation(
    networks=(BACKBONE, Network(name="vgg11", width=16)),
    repeats=1,
    epochs=100,
    batch_size=64,
    learning_rates={"convnet": 0.01, "vgg11": 0.01},
)
FIXED_SOFT = HARD.replace(labels="soft", teacher=TRAINED)
TEACHER = HARD.replace(
    labels="online",
    teacher=TRAINED,
    temperature=20,
    epochs=300,
    batch_size=10,
    optimiser="adamw",
    learning_rates={"convnet": 0.001, "vgg11": 0.0005},
    weight_decay=0.01,
    decay_vectors=False,
    schedule="slow-cosine",
    ema_decay=0.0,
    augmentation="",
    views=Views(smallest_area=1.0),
    mixing=Mixing(),
)


def sweep() -> Sweep:
    """Two seeds of a distillation and of all baselines, scored three times."""
    distilled = grid(
        Run(
            algorithm=DM(iterations=80, real_batch_size=64, learning_rates=LearningRates(pixels=1, f=0.5, w=0.005)),
            resolution=32,
            backbone=BACKBONE,
        ),
        seed=range(2),
    )
    by_features = [Herding(features=TRAINED), KMeans(features=TRAINED), KCenter(features=TRAINED)]
    at_equal_images = baselines(distilled, [RandomReal(), RDED(observer=TRAINED), *by_features, EL2N(networks=EARLY)])
    # What labels take differs by regime, and so do these.
    others = [
        run
        for evaluation in (HARD, FIXED_SOFT, TEACHER)
        for run in baselines(distilled, [RandomReal(), *by_features], equal=["bytes", "compute"], evaluation=evaluation)
    ]
    return Sweep(
        name="regimes",
        description=__doc__ or "",
        runs=tuple(dict.fromkeys((*distilled, *at_equal_images, *others))),
        evaluations=(HARD, FIXED_SOFT, TEACHER),
    )


if __name__ == "__main__":
    glad_ray.main()
