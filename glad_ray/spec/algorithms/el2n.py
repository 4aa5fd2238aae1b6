"""The baseline of real images that networks are wrong about early in training (Paul et al., 2021)."""

from typing import ClassVar, Literal, Self

from typing_extensions import override

from glad_ray.spec.algorithms.base import AlgorithmSettings, FigureStyle, small_experts
from glad_ray.spec.experts import Experts


class EL2N(AlgorithmSettings):
    """Real images with the largest error L2-norm, the hard ones (Paul et al., 2021)."""

    name: Literal["el2n"] = "el2n"
    networks: Experts = Experts(count=10, epochs=2)
    """networks whose mean error is taken, trained for a tenth of the usual epochs (Paul et al.: 10, for 20 of 200)"""
    take: Literal["hardest", "easiest"] = "hardest"
    """the images with the largest scores, as Paul et al., or with the smallest"""
    title: ClassVar[str] = "EL2N, images that networks are wrong about early in training"
    implementation: ClassVar[str] = "glad_ray.coresets.el2n:scored_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#9a5e70", "#fea6c4", dashes=(0, (2, 2)))

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.networks

    @override
    def small(self) -> Self:
        return self.replace(networks=small_experts(self.networks, count=2, epochs=1))
