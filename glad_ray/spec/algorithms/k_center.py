"""The baseline of real images that cover the features of their class (Sener and Savarese, 2018)."""

from typing import ClassVar, Literal

from glad_ray.spec.algorithms.base import FigureStyle
from glad_ray.spec.algorithms.baselines import OfFeatures


class KCenter(OfFeatures):
    """Real images each of which is the farthest from those taken before it (Sener and Savarese, 2018)."""

    name: Literal["kcenter"] = "kcenter"
    title: ClassVar[str] = "K-center greedy, images that leave none of their class far away"
    implementation: ClassVar[str] = "glad_ray.coresets.k_center:covering_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#58672a", "#a8dc9a", dashes=(0, (3, 1, 1, 1)))
