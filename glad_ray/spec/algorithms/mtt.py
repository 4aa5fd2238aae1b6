"""Trajectory matching (MTT): Cazenavette et al., 2022, in the constant-memory form of TESLA (Cui et al., 2023)."""

from typing import ClassVar, Literal

from glad_ray.spec.algorithms.base import FigureStyle
from glad_ray.spec.algorithms.trajectories import MatchingTrajectories


class MTT(MatchingTrajectories):
    """Trajectory matching: equation (3) of GLaD; Cazenavette et al., "Dataset Distillation by Matching Training
    Trajectories", in the constant-memory form of TESLA (Cui et al., 2023).
    """

    name: Literal["mtt"] = "mtt"
    title: ClassVar[str] = "MTT, trajectory matching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#00805c", "#45c79c", marker="^")
    paper_layer: ClassVar[str | None] = "f12"
