"""Flat trajectories (FTD): Du et al., "Minimizing the Accumulated Trajectory Error to Improve Dataset Distillation",
CVPR 2023.
"""

from typing import ClassVar, Literal

from glad_ray.spec.algorithms.base import FigureStyle
from glad_ray.spec.algorithms.trajectories import MatchingTrajectories
from glad_ray.spec.experts import Experts, Flatness


class FTD(MatchingTrajectories):
    """MTT on the trajectories of experts that were trained towards flat minima; in all else the settings of MTT."""

    name: Literal["ftd"] = "ftd"
    title: ClassVar[str] = "FTD, flat trajectories"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#567500", "#a6cc4a", marker="d")

    experts: Experts = Experts(flat=Flatness())
    """whose trajectories are matched: trained towards flat minima"""
