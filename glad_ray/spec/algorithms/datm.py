"""Difficulty-aligned trajectory matching (DATM): Guo et al., "Towards Lossless Dataset Distillation via
Difficulty-Aligned Trajectory Matching", ICLR 2024.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

from typing_extensions import override

from glad_ray.spec.algorithms.base import FigureStyle, LearningRates, small_experts
from glad_ray.spec.algorithms.trajectories import LATER, MatchingTrajectories
from glad_ray.spec.experts import Count, Experts, Flatness, Positive


class Released(NamedTuple):
    """Settings that the authors released for a dataset and a number of images per class."""

    synthetic_steps: int
    expert_epochs: int
    pixels: float
    """learning rate of the images"""
    label_lr: float
    step_size_lr: float
    batch_size: int
    window: tuple[int, int | None, int, int]
    """of start epochs: the first, the end at the first iteration (None: the same throughout), the end, and the
    iterations that it takes to grow"""
    threshold: float = 1.0

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of `DATM` that they are."""
        first, initial_end, end, growth = self.window
        return {
            "synthetic_steps": self.synthetic_steps,
            "expert_epochs": self.expert_epochs,
            "learning_rates": _rates(self.pixels),
            "label_lr": self.label_lr,
            "step_size_lr": self.step_size_lr,
            "batch_size": self.batch_size,
            "threshold": self.threshold,
            "min_start_epoch": first,
            "first_max_start_epoch": initial_end,
            "max_start_epoch": end,
            "growth_iterations": growth,
        }


def _rates(pixels: float) -> LearningRates:
    return LearningRates(pixels=pixels, f=pixels, w=pixels / 10, g=pixels / 10_000)


RELEASED: Mapping[str, Mapping[int, Released]] = {
    "cifar10": {
        1: Released(80, 2, 100, 5, 1e-7, 10, (0, None, 4, 1000), threshold=1.1),
        10: Released(80, 2, 100, 2, 1e-5, 100, (0, 10, 20, 1000)),
        50: Released(80, 2, 1000, 2, 1e-5, 500, (0, 20, 40, 2000)),
        500: Released(40, 2, 50, 10, 1e-5, 1000, (40, None, 60, 1000)),
        1000: Released(100, 2, 50, 10, 1e-5, 1000, (40, None, 60, 1000)),
    },
    "cifar100": {
        1: Released(40, 3, 1000, 10, 1e-5, 1000, (0, 10, 20, 1000)),
        10: Released(80, 2, 1000, 10, 1e-5, 1000, (0, 30, 50, 2000)),
        50: Released(80, 2, 1000, 10, 1e-5, 1000, (20, None, 70, 1000)),
        100: Released(80, 2, 50, 10, 1e-5, 1000, (30, None, 70, 1000)),
    },
    "tiny-imagenet": {
        1: Released(40, 2, 10000, 10, 1e-4, 1000, (0, 15, 20, 2000)),
        10: Released(40, 2, 100, 10, 1e-4, 500, (10, None, 50, 1000)),
        50: Released(20, 2, 100, 10, 1e-4, 1000, (40, None, 70, 1000)),
    },
}
"""by dataset and images per class"""
_OTHERS = "cifar10"
_WINDOW = ("min_start_epoch", "first_max_start_epoch", "max_start_epoch", "growth_iterations")


def released(dataset: str, images_per_class: int) -> Released:
    """The settings of a dataset for the most images per class that are not more than these; those of CIFAR-10 for a
    dataset that has none.
    """
    known = RELEASED.get(dataset, RELEASED[_OTHERS])
    return known[max(number for number in known if number <= images_per_class)]


class DATM(MatchingTrajectories):
    """MTT whose start epochs suit the size of the set: early and easy ones for a small set, late ones for a large one,
    in a window that grows; labels are learned with the images.

    What depends on the dataset and the images per class is, where a run does not set it, what the authors released for
    them (`RELEASED`). The defaults that stand here are those of CIFAR-10 at one image per class.
    """

    name: Literal["datm"] = "datm"
    title: ClassVar[str] = "DATM, difficulty-aligned trajectories"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#7a4a1e", "#b6a55f", marker="H")
    start_from_real: ClassVar[Literal["real", "correct"]] = "correct"

    iterations: Count = 10000
    """steps on the synthetic set"""
    synthetic_steps: Count = 80
    """N: steps of the student on the synthetic images"""
    max_start_epoch: int = 4
    """T+: the start epoch is drawn from min_start_epoch .. T+ - 1"""
    batch_size: Count | None = 10
    """synthetic images per student step; None: all"""
    step_size_lr: float = 1e-7
    """learning rate of the step size"""
    gradient: Literal["tesla", "exact"] = "exact"
    """exact: through all student steps; tesla: each one's effect through later steps is left out"""
    experts: Experts = Experts(epochs=100, flat=Flatness())
    """whose trajectories are matched: trained towards flat minima, as FTD does"""
    labels: Literal["hard", "soft", "learned"] = "learned"
    """what the student is taught (see `MTT`)"""
    threshold: Positive | None = 1.1
    """an iteration with a loss above it changes nothing; None: every iteration counts"""
    learning_rates: LearningRates = _rates(100)
    """of what is optimised"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        # A field that is left out would be filled in by dataset and images per class.
        return set(super()._unsaid(identity=identity)) - set(LATER)

    @override
    def implied_by(self, dataset: str, images_per_class: int) -> Mapping[str, Any]:
        fields = released(dataset, images_per_class).fields
        if not self.model_fields_set.isdisjoint(_WINDOW):
            # A window is a whole.
            fields = {name: value for name, value in fields.items() if name not in _WINDOW}
        return fields

    @override
    def small(self) -> Self:
        return self.replace(
            iterations=2,
            synthetic_steps=2,
            expert_epochs=1,
            min_start_epoch=0,
            first_max_start_epoch=None if self.first_max_start_epoch is None else 1,
            max_start_epoch=2,
            growth_iterations=1,
            experts=small_experts(self.experts, count=2, epochs=2),
        )
