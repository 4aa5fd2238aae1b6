"""The matching algorithms: one file each, none knows another, and their settings name them."""

from typing import cast

import torch

from glad_ray.algorithms.base import SOFT_LABELS, Algorithm, Match
from glad_ray.data import Dataset
from glad_ray.importing import import_callable
from glad_ray.spec import Run
from glad_ray.trajectories import Trajectories


def build_algorithm(run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> Algorithm:
    """The algorithm of a run that has steps to make, bound to its data, and to its experts if it needs some."""
    assert run.distils, f"{run.algorithm.name} makes no steps"
    assert trajectories is not None or run.expert_set is None, "the plan trains the experts a run needs"
    implementation = import_callable(run.algorithm.implementation, "Algorithm", "a matching algorithm")
    return cast("Algorithm", implementation(run, dataset, trajectories, device))


__all__ = ["SOFT_LABELS", "Algorithm", "Match", "build_algorithm"]
