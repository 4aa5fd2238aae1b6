"""Baselines to set beside distilled sets: as many real images as they have, as their bytes would hold, or as their
compute would train on.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from glad_ray.errors import UserError
from glad_ray.plan.cost import estimate, expert_flops, generator_multiply_adds, training_flops
from glad_ray.spec import EL2N, RDED, Evaluation, Herding, KCenter, KMeans, RandomReal, Run, WholeDataset

Equal = Literal["images", "bytes", "compute"]
Baseline = RandomReal | Herding | KMeans | KCenter | EL2N | RDED | WholeDataset


def baselines(
    runs: Iterable[Run],
    algorithms: Sequence[Baseline] = (RandomReal(), Herding(), KMeans()),
    equal: Sequence[Equal] = ("images",),
    evaluation: Evaluation | None = None,
) -> tuple[Run, ...]:
    """The baselines of some runs, each once: the same data, backbone, augmentation and seed, real images.

    `images`: as many images per class as the run has. `bytes`: as many 8-bit images per class as fit, with the labels
    that `evaluation` gives them, into the bytes of the run's latents, labels and generator. `compute`: as many images
    per class as the backbone can be trained on, under `evaluation`, with the operations of the run: those of its
    experts, its distillation and one training on its set, less those of experts that the baseline needs. At least one
    image, at most all there are. `evaluation` None: the standard one, with hard labels.
    """
    how_scored = evaluation or Evaluation()
    made = {
        _baseline(run, algorithm, _images(run, algorithm, how, how_scored)): None
        for run in runs
        for how in equal
        for algorithm in algorithms
    }
    return tuple(made)


def images_for_bytes(run: Run, baseline: Baseline, evaluation: Evaluation) -> int:
    """Real images per class that take as many bytes, with their labels, as a run's set and generator do."""
    budget = run.set_bytes + run.generator_bytes + evaluation.label_bytes(run)

    def taken(images: int) -> int:
        made = _baseline(run, baseline, images)
        return made.set_bytes + evaluation.label_bytes(made)

    return _within(run, budget, taken(1), taken(2))


def images_for_compute(run: Run, baseline: Baseline, evaluation: Evaluation) -> int:
    """Real images per class for which one training takes as many operations as distilling a run and one training on its
    set.

    Raises `UserError` if the operations of the generator are not known.
    """
    if generator_multiply_adds(run) is None:
        raise UserError(
            f"Baselines of equal compute need the operations of {run.label}, and those of its generator are not known: "
            "leave 'compute' out of equal."
        )

    def taken(of: Run) -> float:
        experts = 0.0 if of.expert_set is None else expert_flops(of.expert_set)
        return experts + estimate(of, ()).distill_flops + training_flops(of, evaluation, of.backbone)

    one, two = (taken(_baseline(run, baseline, images)) for images in (1, 2))
    return _within(run, taken(run), one, two)


def _images(run: Run, baseline: Baseline, how: Equal, evaluation: Evaluation) -> int:
    if baseline.whole_dataset:
        return 1
    match how:
        case "images":
            return run.images_per_class
        case "bytes":
            return images_for_bytes(run, baseline, evaluation)
        case "compute":
            return images_for_compute(run, baseline, evaluation)


def _within(run: Run, budget: float, of_one: float, of_two: float) -> int:
    """Images per class within a budget, by what one and two of them take."""
    facts = run.facts
    most = facts.train_images // facts.classes - run.held_out
    return min(most, max(1, 1 + math.floor((budget - of_one) / (of_two - of_one))))


def _baseline(run: Run, algorithm: Baseline, images_per_class: int) -> Run:
    return Run(
        algorithm=algorithm,
        dataset=run.dataset,
        resolution=run.pixels,
        antialias=run.antialias,
        whitening=run.whitening,
        images_per_class=images_per_class,
        backbone=run.backbone,
        augmentation=run.augmentation,
        held_out=run.held_out,
        seed=run.seed,
    )
