"""What the algorithms that match training trajectories (MTT, FTD, DATM) have in common: equation (3) of GLaD."""

from collections.abc import Collection
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.algorithms.base import (
    SECOND_ORDER,
    SECOND_ORDER_ADJOINT,
    LearningRates,
    Matching,
    StepSize,
    small_experts,
)
from glad_ray.spec.experts import Count, Experts, Positive, without_size

LATER = (
    "min_start_epoch",
    "first_max_start_epoch",
    "growth_iterations",
    "rest_first",
    "threshold",
    "label_lr",
    "label_momentum",
)
"""fields that were added since runs were first kept"""


class MatchingTrajectories(Matching):
    """Trajectory matching: a student trained on the synthetic images follows a piece of an expert's training."""

    implementation: ClassVar[str] = "glad_ray.algorithms.mtt:TrajectoryMatching"

    iterations: Count = 5000
    """steps on the synthetic set"""
    synthetic_steps: Count = 10
    """N: steps of the student on the synthetic images"""
    expert_epochs: Count = 2
    """M: epochs of the expert between start and target"""
    max_start_epoch: int = Field(default=2, ge=0)
    """T+: the start epoch is drawn from min_start_epoch .. T+ - 1 (0: always epoch 0)"""
    min_start_epoch: int = Field(default=0, ge=0)
    """T-: the first epoch that a student may start from"""
    first_max_start_epoch: Count | None = None
    """T+ of the first iteration, from which it grows evenly to max_start_epoch; None: it is the same throughout"""
    growth_iterations: Count = 1000
    """iterations until T+ has grown to max_start_epoch"""
    batch_size: Count | None = None
    """synthetic images per student step; None: all"""
    rest_first: bool = False
    """where the images do not divide evenly into batches, the smaller rest is the first batch of a pass over them, as
    in the code of MTT and of DATM; otherwise it is the last one"""
    step_size: Positive = 0.01
    """initial value of the student's learned step size"""
    step_size_lr: float = Field(default=1e-6, ge=0)
    """learning rate of the step size"""
    gradient: Literal["tesla", "exact"] = "tesla"
    """tesla: each student step's effect through later steps is left out, as TESLA does; exact: it is not"""
    experts: Experts = Experts()
    """whose trajectories are matched"""
    labels: Literal["hard", "soft", "learned"] = "hard"
    """what the student is taught: classes; soft: the experts' mean class probabilities on the initial images (TESLA's
    option, which GLaD leaves out); learned: logits that begin as the mean of the experts that are right about an image,
    and are optimised with the images (DATM). Soft and learned labels belong to the synthetic set and are counted in its
    bytes"""
    label_lr: Positive = 5.0
    """learning rate of learned labels (logits)"""
    label_momentum: float = Field(default=0.9, ge=0, lt=1)
    """of learned labels"""
    threshold: Positive | None = None
    """an iteration with a loss above it changes nothing: images, labels, step size and momenta stay as they are; None:
    every iteration counts"""
    learning_rates: LearningRates = LearningRates(pixels=1000.0, f=1000.0, w=100.0, g=0.1)
    """of what is optimised"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default(*LATER) | set(super()._unsaid(identity=identity))

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        if self.soft_labels:
            return content
        # Segments end long before the last epoch, which only soft labels come from.
        return content | {"experts": without_size(content["experts"], "epochs")}

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.experts

    @property
    @override
    def soft_labels(self) -> bool:
        return self.labels != "hard"

    @property
    @override
    def learned_step_size(self) -> StepSize | None:
        return StepSize(self.step_size, self.step_size_lr)

    def start_epochs(self, iteration: int) -> range:
        """The epochs from which a student may start at an iteration (counted from 0)."""
        last, first = self.max_start_epoch, self.first_max_start_epoch
        if first is not None:
            last = min(first + (last - first) * iteration // self.growth_iterations, last)
        return range(self.min_start_epoch, max(self.min_start_epoch + 1, last))

    @override
    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        # A single image left over joins others if it must.
        images = classes * images_per_class
        return min(self.batch_size or images, images)

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        batch = min(self.batch_size or synthetic, synthetic)
        # Of steps whose graphs do not fit into memory, `TRAINING` more.
        each = SECOND_ORDER if self.gradient == "tesla" else SECOND_ORDER_ADJOINT
        return self.synthetic_steps * batch * each

    @override
    def small(self) -> Self:
        experts = small_experts(self.experts, count=2, epochs=self._last_epoch)
        return self.replace(iterations=2, synthetic_steps=2, experts=experts)

    @property
    def _last_epoch(self) -> int:
        """Of the experts that a segment may end with."""
        return max(0, self.max_start_epoch - 1) + self.expert_epochs

    @model_validator(mode="after")
    def _segments_exist(self) -> Self:
        kind = type(self).__name__
        first = self.max_start_epoch if self.first_max_start_epoch is None else self.first_max_start_epoch
        if first > self.max_start_epoch:
            raise UserError(
                f"{kind}.first_max_start_epoch is {first} and grows to max_start_epoch, {self.max_start_epoch}: use "
                "less, or leave it out."
            )
        if self.min_start_epoch >= max(1, first):
            raise UserError(
                f"{kind}.min_start_epoch is {self.min_start_epoch} and start epochs are below {first} "
                f"({'max_start_epoch' if self.first_max_start_epoch is None else 'first_max_start_epoch'}): use less."
            )
        last, experts = self._last_epoch, self.experts
        needed = f"{kind} needs expert epoch {last} (max_start_epoch and expert_epochs) and its experts"
        if last > experts.epochs:
            raise UserError(f"{needed} have {experts.epochs}: set algorithm.experts.epochs to {last} or more.")
        if last > experts.last_epoch:
            raise UserError(
                f"{needed} are kept until {experts.last_epoch}: set algorithm.experts.keep_until to {last} or more, or "
                "leave it out."
            )
        return self
