"""RDED (Sun et al., CVPR 2024): images stitched of realistic patches of real ones. They are made at once and never
optimised, so it is a baseline; its paper trains on them with labels that a teacher gives at every step.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field
from typing_extensions import override

from glad_ray.spec.algorithms.base import AlgorithmSettings, FigureStyle, small_experts
from glad_ray.spec.experts import Count, Experts

_LARGE_PIXELS = 64
"""above this side images are stitched of several patches"""
_PARTS_OF_LARGE = 2


class RDED(AlgorithmSettings):
    """Images of the patches of real ones that a trained network finds the most realistic (Sun et al., 2024)."""

    name: Literal["rded"] = "rded"
    images: Count = 300
    """random images of each class whose crops are scored; all where there are fewer"""
    crops: Count = 5
    """random crops of each of them, of which the most realistic one may be used"""
    factor: Count | None = None
    """patches along a side of an image; None: 1 up to 64 pixels, 2 above"""
    smallest_area: float = Field(default=0.08, gt=0, le=1)
    """share of an image's area that a crop, a square, has at least"""
    truncate: bool = False
    """cut pixels off to 8 bits; otherwise they are rounded"""
    jpeg: bool = False
    """keep the images as JPEG, with its losses; their bytes are counted as 8-bit pixels all the same"""
    observer: Experts = Experts(count=1)
    """the network trained on real data that scores the crops; of several, the mean of their losses counts"""
    title: ClassVar[str] = "RDED, images stitched of realistic patches of real ones"
    implementation: ClassVar[str] = "glad_ray.coresets.rded:realistic_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#00788c", "#4fc6da", dashes=(0, (5, 1.5)))

    def factor_at(self, pixels: int) -> int:
        """Patches along a side of an image of so many pixels."""
        return self.factor or (_PARTS_OF_LARGE if pixels > _LARGE_PIXELS else 1)

    @override
    def implied(self, field: str, images_per_class: int) -> str | None:
        return "1 up to 64 pixels, 2 above" if field == "factor" else None

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.observer

    @override
    def small(self) -> Self:
        observer = small_experts(self.observer, count=1, epochs=1)
        return self.replace(images=min(self.images, 40), crops=min(self.crops, 2), observer=observer)
