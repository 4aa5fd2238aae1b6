"""The matching algorithms: one file each, none knows another; `build_algorithm` is the one place that names them."""

import torch

from glad_ray.algorithms.base import SOFT_LABELS, Algorithm, Match
from glad_ray.algorithms.dc import GradientMatching, gradient_distance
from glad_ray.algorithms.dm import DistributionMatching, feature_distance
from glad_ray.algorithms.mtt import TrajectoryMatching, trajectory_gradient
from glad_ray.data import Dataset
from glad_ray.spec import DC, DM, MTT, Run
from glad_ray.trajectories import Trajectories


def build_algorithm(run: Run, dataset: Dataset, trajectories: Trajectories | None, device: torch.device) -> Algorithm:
    """The algorithm of a run that has steps to make, bound to its data (and to its experts, for MTT)."""
    match run.algorithm:
        case DC():
            return GradientMatching(run, dataset, device)
        case DM():
            return DistributionMatching(run, dataset, device)
        case MTT():
            assert trajectories is not None, "the plan trains the experts a run needs"
            return TrajectoryMatching(run, dataset, trajectories, device)
        case _:
            raise AssertionError(f"{run.algorithm.name} makes no steps")


__all__ = [
    "SOFT_LABELS",
    "Algorithm",
    "Match",
    "build_algorithm",
    "feature_distance",
    "gradient_distance",
    "trajectory_gradient",
]
