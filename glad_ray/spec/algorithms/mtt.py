"""Trajectory matching (MTT): Cazenavette et al., 2022, in the constant-memory form of TESLA (Cui et al., 2023)."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.algorithms.base import (
    SECOND_ORDER,
    SECOND_ORDER_ADJOINT,
    FigureStyle,
    LearningRates,
    Matching,
    StepSize,
    small_experts,
)
from glad_ray.spec.experts import Count, Experts, Positive, without_size


class MTT(Matching):
    """Trajectory matching: equation (3) of GLaD; Cazenavette et al., "Dataset Distillation by Matching Training
    Trajectories", in the constant-memory form of TESLA (Cui et al., 2023).
    """

    name: Literal["mtt"] = "mtt"
    title: ClassVar[str] = "MTT, trajectory matching"
    implementation: ClassVar[str] = "glad_ray.algorithms.mtt:TrajectoryMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#00805c", "#45c79c", marker="^")
    paper_layer: ClassVar[str | None] = "f12"

    iterations: Count = 5000
    """steps on the synthetic set"""
    synthetic_steps: Count = 10
    """N: steps of the student on the synthetic images"""
    expert_epochs: Count = 2
    """M: epochs of the expert between start and target"""
    max_start_epoch: int = Field(default=2, ge=0)
    """T+: the start epoch is drawn from 0 .. T+ - 1 (0: always epoch 0)"""
    batch_size: Count | None = None
    """synthetic images per student step; None: all"""
    step_size: Positive = 0.01
    """initial value of the student's learned step size"""
    step_size_lr: float = Field(default=1e-6, ge=0)
    """learning rate of the step size"""
    gradient: Literal["tesla", "exact"] = "tesla"
    """tesla: each student step's effect through later steps is left out, as TESLA does; exact: it is not"""
    experts: Experts = Experts()
    """whose trajectories are matched"""
    labels: Literal["hard", "soft"] = "hard"
    """what the student is taught: classes, or the experts' mean class probabilities on the initial images (TESLA's
    option, which GLaD leaves out); soft labels belong to the synthetic set and are counted in its bytes"""
    learning_rates: LearningRates = LearningRates(pixels=1000.0, f=1000.0, w=100.0, g=0.1)
    """of what is optimised"""

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
        return self.labels == "soft"

    @property
    @override
    def learned_step_size(self) -> StepSize | None:
        return StepSize(self.step_size, self.step_size_lr)

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
        last, experts = self._last_epoch, self.experts
        needed = f"MTT needs expert epoch {last} (max_start_epoch and expert_epochs) and its experts"
        if last > experts.epochs:
            raise UserError(f"{needed} have {experts.epochs}: set algorithm.experts.epochs to {last} or more.")
        if last > experts.last_epoch:
            raise UserError(
                f"{needed} are kept until {experts.last_epoch}: set algorithm.experts.keep_until to {last} or more, or "
                "leave it out."
            )
        return self
