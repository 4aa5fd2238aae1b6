"""Flat trajectories (FTD): Du et al., "Minimizing the Accumulated Trajectory Error to Improve Dataset Distillation",
CVPR 2023.
"""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from glad_ray.errors import UserError
from glad_ray.spec.algorithms.base import FigureStyle
from glad_ray.spec.algorithms.trajectories import MatchingTrajectories
from glad_ray.spec.experts import Experts, Flatness


class FTD(MatchingTrajectories):
    """MTT on the trajectories of experts that were trained towards flat minima; in all else the settings of MTT."""

    name: Literal["ftd"] = "ftd"
    title: ClassVar[str] = "FTD, flat trajectories"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#125d10", "#a6cc4a", marker="d")

    experts: Experts = Experts(flat=Flatness())
    """whose trajectories are matched: trained towards flat minima"""

    @model_validator(mode="after")
    def _flat(self) -> Self:
        if self.experts.flat is None:
            raise UserError(
                "The experts of FTD are trained towards flat minima, and these are not: add flat=Flatness() to them "
                "(algorithm.experts.flat), or use MTT."
            )
        return self
