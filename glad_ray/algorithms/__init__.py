"""The matching algorithms: one file each, none knows another, and their settings name them. Their losses are here too,
as functions of tensors.
"""

from typing import cast

import torch

from glad_ray.algorithms.base import SOFT_LABELS, Algorithm, Match
from glad_ray.algorithms.custom import CustomMatching, Tools, import_custom
from glad_ray.algorithms.dc import gradient_distance
from glad_ray.algorithms.dm import feature_distance
from glad_ray.algorithms.drawn import build_backbone
from glad_ray.algorithms.mtt import trajectory_gradient
from glad_ray.algorithms.ncfm import characteristic_distance, characteristic_function
from glad_ray.algorithms.real_batches import images_at_once
from glad_ray.data import Dataset
from glad_ray.importing import import_callable
from glad_ray.spec import CustomAlgorithm, Run
from glad_ray.trajectories import Trajectories


def build_algorithm(run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> Algorithm:
    """The algorithm of a run that has steps to make, bound to its data, and to its experts if it needs some."""
    assert run.distils, f"{run.algorithm.name} makes no steps"
    assert trajectories is not None or run.expert_set is None, "the plan trains the experts a run needs"
    implementation = import_callable(run.algorithm.implementation, "Algorithm", "a matching algorithm")
    return cast("Algorithm", implementation(run, dataset, trajectories, device))


def check_algorithm(run: Run) -> None:
    """Raise the `UserError` that importing a run's algorithm would meet, or calling it with its options."""
    if isinstance(run.algorithm, CustomAlgorithm):
        import_custom(run.algorithm)


__all__ = [
    "SOFT_LABELS",
    "Algorithm",
    "CustomMatching",
    "Match",
    "Tools",
    "build_algorithm",
    "build_backbone",
    "characteristic_distance",
    "characteristic_function",
    "check_algorithm",
    "feature_distance",
    "gradient_distance",
    "images_at_once",
    "trajectory_gradient",
]
