"""Characteristic function matching (NCFM): Wang et al., CVPR 2025."""

from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from typing_extensions import override

from glad_ray.errors import UserError
from glad_ray.spec.algorithms.base import (
    FORWARD,
    INPUT_GRADIENT,
    FigureStyle,
    LearningRates,
    MatchingRealImages,
    small_experts,
)
from glad_ray.spec.experts import Count, Experts, Positive
from glad_ray.spec.images.augmentation import SEQUENTIAL, Mixing
from glad_ray.spec.optimisers import AdamW, AnyOptimiser

_A_ROW, _FEWEST_SAMPLED = 16, 32
"""frequencies for a row of noise that goes through psi; and for two rows, which its batch norm needs"""


class StepPart(NamedTuple):
    """What one step on the images does."""

    iteration: int
    """number of the pair of pre-trained parameters, from 0"""
    matches: bool
    """whether features are matched"""
    calibrates: bool
    """whether the trained network's cross-entropy is lowered"""


class NCFM(MatchingRealImages):
    """Characteristic function matching: Wang et al., "Dataset Distillation with Neural Characteristic Function: A
    Minmax Perspective".
    """

    name: Literal["ncfm"] = "ncfm"
    title: ClassVar[str] = "NCFM, neural characteristic function matching"
    implementation: ClassVar[str] = "glad_ray.algorithms.ncfm:CharacteristicMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#b8213a", "#f17f78", marker="P")
    usual_augmentation: ClassVar[str] = SEQUENTIAL + "color_crop_cutout"
    usual_formation: ClassVar[int] = 2

    iterations: Count = 20000
    """pre-trained networks drawn; each serves for one step on all images, or with classes="in turn" for two on those of
    each class"""
    classes: Literal["together", "in turn"] = "together"
    """together: a step matches and calibrates the images of all classes; in turn: it matches, and later calibrates,
    those of one class, while those of the others go on along their moments, as the released code does it"""
    sampling: Literal["network", "untrained", "gaussian"] = "network"
    """where frequencies come from: a network psi that is trained to make the loss larger; the same network, never
    trained, which is what the released code comes to where it switches psi on; or normal draws"""
    frequencies: Count = 1024
    """frequencies of a step; a network makes a sixteenth as many different ones, as its repetitions change nothing, and
    in the place of a network that would make none there are short normal draws"""
    sampling_lr: Positive = 1e-4
    """of psi, by SGD with momentum 0.5"""
    amplitude_weight: float = Field(default=0.5, ge=0)
    """of the amplitudes' difference (how varied images are); alpha in the paper"""
    phase_weight: float = Field(default=0.5, ge=0)
    """of the phases' difference (how like real ones they are); 1 - alpha in the paper"""
    calibration: float = Field(default=1.0, ge=0)
    """weight of the trained network's cross-entropy on the images; 0: it is left out"""
    real_images_seen: Literal["drawn", "fixed"] = "drawn"
    """drawn: others in every step; fixed: the same in all steps, as with the released code"""
    experts: Experts = Experts(
        count=20,
        epochs=60,
        lr_drops=(40, 50),
        batch_size=128,
        momentum=0.9,
        weight_decay=5e-4,
        augmentation=SEQUENTIAL + "color_crop",
        mixing=Mixing(probability=0.5),
    )
    """the pre-trained networks: features are those of a blend of their parameters before and after the training"""
    optimiser: AnyOptimiser = AdamW(weight_decay=5e-4)
    """of what is optimised: sgd or adamw"""
    learning_rates: LearningRates = LearningRates(pixels=0.03, f=0.03, w=0.03)
    """of what is optimised"""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sampling != "gaussian" and _A_ROW <= self.frequencies < _FEWEST_SAMPLED:
            raise UserError(
                f"NCFM has {self.frequencies} frequencies, and the batch norm of its sampling network needs "
                f"{_FEWEST_SAMPLED} or more: set frequencies to that, or to less than {_A_ROW}, which need no network."
            )
        if self.amplitude_weight == self.phase_weight == 0:
            raise UserError("NCFM compares nothing: set amplitude_weight or phase_weight above 0.")
        if self.experts.keep_until is not None:
            raise UserError(
                "NCFM blends the parameters of networks before and after their training, and keep_until leaves those "
                "after it out: leave keep_until out."
            )
        if self.experts.norm is not None:
            raise UserError(
                "NCFM takes the features of its experts themselves: leave their norm out, or set the backbone's."
            )
        return self

    def part(self, step: int, classes: int) -> StepPart:
        """What a step does, counted from 0."""
        if self.classes == "together":
            return StepPart(step, True, self.calibration > 0)
        iteration, rest = divmod(step, self._of_iteration(classes))
        return StepPart(iteration, rest < classes, rest >= classes)

    def _of_iteration(self, classes: int) -> int:
        if self.classes == "together":
            return 1
        return 2 * classes if self.calibration > 0 else classes

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.experts

    @override
    def steps(self, images_per_class: int, classes: int) -> int:
        return self.iterations * self._of_iteration(classes)

    @override
    def class_of_step(self, step: int, classes: int) -> int | None:
        return None if self.classes == "together" else step % classes

    @override
    def clips(self, step: int, classes: int) -> bool:
        # Once an iteration, before it, and not after every step, as the code does it.
        return step % self._of_iteration(classes) == 0

    @override
    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        return min((classes if self.classes == "together" else 1) * images_per_class, self.real_batch_size)

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        calibrating = INPUT_GRADIENT if self.calibration > 0 else 0
        both = real * FORWARD + synthetic * (INPUT_GRADIENT + calibrating)
        # Steps that match and steps that calibrate are equally many.
        return both / 2 if self.classes == "in turn" and self.calibration > 0 else both

    @override
    def implied(self, field: str, images_per_class: int) -> str | None:
        return "rates that stay" if field == "patience" else None

    @override
    def small(self) -> Self:
        experts = small_experts(self.experts, count=2, epochs=1)
        return self.replace(iterations=2, real_batch_size=8, frequencies=_FEWEST_SAMPLED, experts=experts)
