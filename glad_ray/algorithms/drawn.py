"""What every step of an algorithm draws: a backbone, and an operation of the augmentation for each class."""

import torch

from glad_ray.augment import Draw, draw
from glad_ray.data import Dataset
from glad_ray.networks import Classifier, build_network
from glad_ray.randomness import rng_for
from glad_ray.spec import Run


def build_backbone(run: Run, dataset: Dataset, rng: torch.Generator | None) -> Classifier:
    """The backbone of a run for its images, on the CPU; without `rng` its parameters are for the caller to load."""
    _, channels, resolution, _ = dataset.train_images.shape
    classes = len(dataset.class_names)
    return build_network(run.backbone, channels=channels, resolution=resolution, classes=classes, rng=rng)


def draw_of_step(run: Run, dataset: Dataset, step: int) -> Draw:
    """One operation and one set of parameters per class, shared by its real and its synthetic images."""
    rng = rng_for(run.run_id, "augmentation", step)
    return draw(run.augmentation, len(dataset.class_names), rng)
