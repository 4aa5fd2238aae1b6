"""Baselines to set beside distilled sets: real images, as many as they have, or as many as their bytes would hold."""

from collections.abc import Iterable, Sequence
from typing import Literal

from glad_ray.spec.algorithms.baselines import Herding, KMeans, RandomReal, WholeDataset
from glad_ray.spec.augmentation import trained_with
from glad_ray.spec.algorithms.el2n import EL2N
from glad_ray.spec.algorithms.k_center import KCenter
from glad_ray.spec.algorithms.rded import RDED
from glad_ray.spec.run import Run

Equal = Literal["images", "bytes"]
Baseline = RandomReal | Herding | KMeans | KCenter | EL2N | RDED | WholeDataset


def baselines(
    runs: Iterable[Run],
    algorithms: Sequence[Baseline] = (RandomReal(), Herding(), KMeans()),
    equal: Sequence[Equal] = ("images",),
) -> tuple[Run, ...]:
    """The baselines of some runs, each once: the same data, backbone, augmentation and seed, real images.

    `images`: as many images per class as the run has. `bytes`: as many 8-bit images per class as fit into the bytes of
    the run's latents and generator (at least one, at most all).
    """
    made = {
        _baseline(run, algorithm, 1 if algorithm.whole_dataset else count): None
        for run in runs
        for count in [run.images_per_class if how == "images" else images_for_bytes(run) for how in equal]
        for algorithm in algorithms
    }
    return tuple(made)


def images_for_bytes(run: Run) -> int:
    """Real images per class that take as many bytes as a run's set and generator do."""
    facts = run.facts
    image = facts.channels * run.pixels**2
    most = facts.train_images // facts.classes - run.held_out
    return min(most, max(1, (run.set_bytes + run.generator_bytes) // (facts.classes * image)))


def _baseline(run: Run, algorithm: Baseline, images_per_class: int) -> Run:
    return Run(
        algorithm=algorithm,
        dataset=run.dataset,
        resolution=run.pixels,
        antialias=run.antialias,
        whitening=run.whitening,
        images_per_class=images_per_class,
        backbone=run.backbone,
        augmentation=trained_with(run.augmentation),
        held_out=run.held_out,
        seed=run.seed,
    )
