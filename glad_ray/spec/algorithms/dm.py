"""Distribution matching (DM): Zhao and Bilen, 2023."""

from typing import ClassVar, Literal, Self

from typing_extensions import override

from glad_ray.spec.algorithms.base import FORWARD, INPUT_GRADIENT, ChoosingRealImages, FigureStyle, LearningRates
from glad_ray.spec.experts import Count


class DM(ChoosingRealImages):
    """Distribution matching: equation (2) of GLaD; Zhao and Bilen, "Condensation with Distribution Matching"."""

    name: Literal["dm"] = "dm"
    title: ClassVar[str] = "DM, distribution matching"
    implementation: ClassVar[str] = "glad_ray.algorithms.dm:DistributionMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#c04e00", "#f29a5c", marker="s")
    paper_layer: ClassVar[str | None] = "f20"

    iterations: Count = 20000
    """steps on the synthetic set"""
    learning_rates: LearningRates = LearningRates(pixels=1.0, f=1.0, w=0.1)
    """of what is optimised"""

    @override
    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        # Those of all classes.
        return classes * min(images_per_class, self.real_batch_size)

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        return real * FORWARD + synthetic * INPUT_GRADIENT

    @override
    def small(self) -> Self:
        return self.replace(iterations=3, real_batch_size=8)
