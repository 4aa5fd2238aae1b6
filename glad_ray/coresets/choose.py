"""The images of a baseline, class after class."""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.coresets.candidates import Candidates
from glad_ray.data import Dataset, network_inputs
from glad_ray.errors import UserError
from glad_ray.importing import import_callable
from glad_ray.networks import Classifier
from glad_ray.spec import Run
from glad_ray.trajectories import Trajectories, trained_networks


def choose_images(
    run: Run, dataset: Dataset, trajectories: Trajectories | None, rng: torch.Generator, device: torch.device
) -> Float[Tensor, "n c h w"]:
    """The images of a baseline as networks see them, class after class; on the CPU.

    The function that the baseline names is given the candidates of a class, the number of images per class and `rng`.
    It returns the places of as many different candidates, or as many 8-bit images. Raises `UserError` if a class has
    fewer images than are asked for.
    """
    choose = import_callable(run.algorithm.implementation, "Baseline", "a choice of images")

    @cache
    def networks() -> tuple[Classifier, ...]:
        assert trajectories is not None, "the plan trains the networks that a baseline needs"
        return trained_networks(trajectories, torch.zeros(1, *dataset.train_images.shape[1:], device=device))

    images = []
    for label, (name, members) in enumerate(zip(dataset.class_names, dataset.class_indices, strict=True)):
        if len(members) < run.images_per_class:
            raise UserError(
                f"Class {name!r} of {dataset.name} has {len(members)} training images, and images_per_class is "
                f"{run.images_per_class}: use {len(members)} or fewer."
            )
        candidates = Candidates(dataset, label, members, run.algorithm, trajectories, networks, device)
        chosen: Tensor = choose(candidates, run.images_per_class, rng)
        images.append(chosen if chosen.dtype == torch.uint8 else candidates.pixels(chosen))
    return network_inputs(torch.cat(images), dataset)
