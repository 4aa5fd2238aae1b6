"""The newer methods beside DC, DM and MTT, and real images, under three regimes of labels: Fashion-MNIST, 1 and 10
images per class.

Which methods are ahead, by how much, and does their order depend on how networks are taught on their images? Each has a
budget of about a minute here, where papers have hours: what can be compared are rows of this table, and whether a
method is ahead of random real images at all. FTD, DATM, IDC, DREAM and NCFM are in pixels, the last three with four
training images in each stored one, as their authors have them; DM stands beside them in a layer of the bundled
generator (GLaD) and on a walk through three (H-PD). Of real images there are random ones, coresets and RDED's
patches, as many as a set has images; and random ones of equal bytes and equal compute with DM's sets.

With hard labels a network is taught the class; with fixed soft ones the probabilities that a set has (DATM) or that a
teacher gave it once; or a teacher answers at every step, with CutMix, as RDED's paper does it. The report has the
order of methods under each, and Kendall's tau between the orders.

One image per class has two seeds, ten have one. What came out: docs/results/successors.md.

Cost: 3 hours 15 minutes of one CPU core as the plan estimates it, under 8 GiB of memory on two.

    apt-get install dataset-fashion-mnist   # of Debian
    glad-ray sweep sweeps/successors.py
"""

from collections.abc import Iterator

import quickstart
import regimes

import glad_ray
from glad_ray import (
    DATM,
    DC,
    DM,
    DREAM,
    EL2N,
    FTD,
    IDC,
    MTT,
    NCFM,
    RDED,
    Evaluation,
    Experts,
    Flatness,
    Herding,
    KCenter,
    KMeans,
    LearningRates,
    Network,
    RandomReal,
    Run,
    Sweep,
    baselines,
)

SEEDS = {1: (0, 1), 10: (0,)}
"""by images per class"""
TRAINED = Experts(count=1, epochs=3, batch_size=128, momentum=0.9)
"""observer of RDED, teacher of labels, and whose features the coresets go by"""
EARLY = Experts(count=3, epochs=1, batch_size=128)
"""by whose errors EL2N chooses"""
# An epoch of as many steps as one of the quickstart's sample has: ten steps of a student reach no further.
SEGMENTS = Experts(count=4, epochs=3, batch_size=1024)
FLAT = SEGMENTS.replace(flat=Flatness())
BLENDED = Experts(count=4, epochs=2, batch_size=128, momentum=0.9)
# Of a student, by images per class. Ten steps of 0.05 go as far as the 59 of 0.01 of an expert's epoch. With 0.01 the
# student of ten images per class stays behind, and the images are no better than random ones; one image per class has
# the same accuracy with both.
STEP_SIZES = {1: 0.01, 10: 0.05}
OF_PIXELS = LearningRates(pixels=300, f=500, w=5)


def dm(images_per_class: int, **of_latents: float) -> DM:
    """DM with rates that grow with the images: of n each is an n-th of its class's mean, and so is its gradient."""
    quick = quickstart.ALGORITHMS[1]
    rates = quick.learning_rates.replace(**of_latents)
    grown = {name: images_per_class * getattr(rates, name) for name in ("pixels", "f", "w")}
    return quick.replace(learning_rates=rates.replace(**grown))


def algorithms(images_per_class: int) -> tuple[DC | DM | MTT | FTD | DATM | IDC | DREAM | NCFM, ...]:
    """All that distil, at a budget of about a minute."""
    along_experts = {"step_size": STEP_SIZES[images_per_class], "learning_rates": OF_PIXELS}
    steps = {"iterations": 50, "synthetic_steps": 10, "expert_epochs": 1, **along_experts}
    dc, _, mtt = quickstart.ALGORITHMS
    along = {"iterations": 4, "inner_steps": 25, "real_batch_size": 32, "network_images": 128}
    return (
        dc.replace(outer_loops=1, inner_loops=1),
        dm(images_per_class),
        mtt.replace(experts=SEGMENTS, **along_experts),
        FTD(**steps, max_start_epoch=2, experts=FLAT),
        DATM(
            **steps,
            min_start_epoch=0,
            first_max_start_epoch=1,
            max_start_epoch=2,
            growth_iterations=25,
            step_size_lr=1e-6,
            label_lr=2,
            batch_size=None,
            threshold=None,
            experts=FLAT,
        ),
        IDC(**along, learning_rates=LearningRates(pixels=0.005, f=0.005, w=0.0005)),
        DREAM(**along, learning_rates=LearningRates(pixels=0.005, f=0.005, w=0.0005)),
        NCFM(iterations=100, real_batch_size=64, frequencies=1024, experts=BLENDED),
    )


HARD = Evaluation(
    networks=(quickstart.BACKBONE, Network(name="vgg11", width=16), Network(name="resnet18", width=8)),
    repeats=1,
    epochs=100,
    batch_size=64,
    learning_rates=quickstart.EVALUATION.learning_rates,
)
FIXED_SOFT = HARD.replace(labels="soft", teacher=TRAINED)
# Of as many epochs as there: in a third of them VGG11 learns next to nothing from one image per class.
TEACHER = regimes.TEACHER.replace(
    networks=HARD.networks,
    batch_size=HARD.batch_size,
    learning_rates={"convnet": 0.001, "vgg11": 0.0005, "resnet18": 0.001},
    teacher=TRAINED,
)


def distilled(images_per_class: int, seed: int) -> Iterator[Run]:
    """What distils: all in pixels, DM in the bundled generator too."""
    base = Run(
        algorithm=DM(),
        dataset="fashion-mnist",
        resolution=32,
        images_per_class=images_per_class,
        backbone=quickstart.BACKBONE,
        checkpoint_every=20,
        seed=seed,
    )
    for algorithm in algorithms(images_per_class):
        yield base.replace(algorithm=algorithm)
    for space in ("f5", "f1>f3>f5"):
        algorithm = dm(images_per_class, f=0.2, w=0.002)
        yield base.replace(algorithm=algorithm, space=space, generator=quickstart.GENERATOR, init="real")


def runs(images_per_class: int, seed: int) -> tuple[Run, ...]:
    """These, and real images beside them."""
    made = tuple(distilled(images_per_class, seed))
    of_dm = next(run for run in made if run.algorithm.name == "dm")
    by_features = (Herding(features=TRAINED), KMeans(features=TRAINED), KCenter(features=TRAINED))
    chosen = baselines([of_dm], (RandomReal(), *by_features, EL2N(networks=EARLY), RDED(observer=TRAINED)))
    larger = baselines([of_dm], (RandomReal(),), equal=("bytes", "compute"), evaluation=HARD)
    return (*chosen, *made, *larger)


def sweep() -> Sweep:
    """One image per class first, seed by seed."""
    every = [run for images, seeds in SEEDS.items() for seed in seeds for run in runs(images, seed)]
    return Sweep(
        name="successors",
        description=__doc__ or "",
        runs=tuple(dict.fromkeys(every)),
        evaluations=(HARD, FIXED_SOFT, TEACHER),
    )


if __name__ == "__main__":
    glad_ray.main()
