"""Gradient matching (DC) with DSA: Zhao et al., 2021, and Zhao and Bilen, 2021."""

from typing import ClassVar, Literal, Self

from typing_extensions import override

from glad_ray.spec.algorithms.base import SECOND_ORDER, TRAINING, ChoosingRealImages, FigureStyle, LearningRates
from glad_ray.spec.experts import Count, Positive

_INNER_LOOPS = {1: 1, 10: 50, 20: 25, 30: 20, 40: 15, 50: 10}
"""of the original, by images per class; its outer loops are as many as the images per class"""


class DC(ChoosingRealImages):
    """Gradient matching: equation (1) of GLaD; Zhao et al., "Dataset Condensation with Gradient Matching"."""

    name: Literal["dc"] = "dc"
    title: ClassVar[str] = "DC, gradient matching"
    implementation: ClassVar[str] = "glad_ray.algorithms.dc:GradientMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#0a66b0", "#62b0f0", marker="o")
    paper_layer: ClassVar[str | None] = "f16"

    iterations: Count = 1000
    """networks drawn; each serves for `outer_loops` steps on the images"""
    network_lr: Positive = 0.01
    """of the network trained on the synthetic images between outer loops"""
    outer_loops: Count | None = None
    """steps on the images per network; None: by images per class, as the original table has it"""
    inner_loops: Count | None = None
    """epochs of network training between outer loops; None: by images per class"""
    matching: Literal["cosine", "layerwise", "squared"] = "layerwise"
    """layerwise: a cosine per output row of each weight, as the original and GLaD's code have it, for which the usual
    rates were made; cosine: one over all parameters, as equation (1) has it: its gradients are some 300 times smaller,
    and want rates as much larger; squared: the squared difference of all parameters"""
    learning_rates: LearningRates = LearningRates(pixels=0.1, f=0.1, w=0.01)
    """of what is optimised"""

    def loops(self, images_per_class: int) -> tuple[int, int]:
        """Outer loops (steps per network) and inner loops (epochs of network training between two of them).

        The original's table where it has an entry; elsewhere the outer loops are the images per class, and the inner
        loops keep the product at 500 (below 10 images they are interpolated).
        """
        ipc = images_per_class
        inner = _INNER_LOOPS.get(ipc) or (round(500 / ipc) if ipc > 10 else 1 + round(49 * (ipc - 1) / 9))
        return self.outer_loops or ipc, self.inner_loops or max(1, inner)

    @override
    def steps(self, images_per_class: int, classes: int) -> int:
        return self.iterations * self.loops(images_per_class)[0]

    @override
    def smallest_batch(self, images_per_class: int, classes: int) -> int:
        # Those of one class.
        return min(images_per_class, self.real_batch_size)

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        outer_loops, inner_loops = self.loops(images_per_class)
        # The network is trained on the images between two outer loops, so before all of them but the first.
        training = inner_loops * synthetic * TRAINING * (outer_loops - 1) / outer_loops
        return real * TRAINING + synthetic * SECOND_ORDER + training

    @override
    def implied(self, field: str, images_per_class: int) -> str | None:
        loops = dict(zip(("outer_loops", "inner_loops"), self.loops(images_per_class), strict=True))
        return str(loops[field]) if field in loops else None

    @override
    def small(self) -> Self:
        return self.replace(iterations=2, real_batch_size=8, outer_loops=1, inner_loops=1)
