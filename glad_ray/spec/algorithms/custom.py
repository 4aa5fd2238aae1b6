"""An algorithm of the user's own, named as `package.module:class`."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field
from typing_extensions import override

from glad_ray.spec.algorithms.base import (
    SECOND_ORDER,
    TRAINING,
    FigureStyle,
    LearningRates,
    Matching,
    small_experts,
)
from glad_ray.spec.experts import Count, Experts, Positive
from glad_ray.spec.network import Option

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class CustomAlgorithm(Matching):
    """What a class of the user's matches, `glad_ray.algorithms.CustomMatching` says how it is asked.

    The class is called as `class(tools, **options)`, with `glad_ray.algorithms.Tools`, on every machine that distils.
    """

    name: str = Field(pattern=f"^{_NAME.pattern}$")
    """package.module:class"""
    title: ClassVar[str] = "An algorithm of the user's own"
    implementation: ClassVar[str] = "glad_ray.algorithms.custom:CustomMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#a5327d", "#e58ac4", marker="D")

    iterations: Count = 1000
    """steps on the images"""
    learning_rates: LearningRates = LearningRates(pixels=1.0, f=1.0, w=0.1)
    options: Mapping[str, Option] = {}
    """keyword arguments of the class, passed on as they are"""
    real_batch_size: Count | None = 256
    """real images per class and step, where it asks for some; None: it asks for none"""
    experts: Experts | None = None
    """networks trained on the real data that it is given; None: it is given none"""
    passes: Positive | None = None
    """what a step costs, for estimates alone: so many forward passes of one image through the backbone; None: as many
    as gradient matching makes of as many images"""

    def __hash__(self) -> int:
        return hash((self.name, self.content_id))

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        return content | {"passes": None}

    @classmethod
    @override
    def original(cls) -> Self | None:
        return None

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.experts

    @property
    @override
    def real_images(self) -> int | None:
        return self.real_batch_size

    @override
    def steps(self, images_per_class: int) -> int:
        return self.iterations

    @override
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        return self.passes or real * TRAINING + synthetic * SECOND_ORDER

    @override
    def small(self) -> Self:
        experts = self.experts and small_experts(self.experts, count=2, epochs=self.experts.epochs)
        real = self.real_batch_size and min(self.real_batch_size, 8)
        return self.replace(iterations=3, experts=experts, real_batch_size=real)


def is_custom(name: str) -> bool:
    """Whether an algorithm is known by where its class is."""
    return _NAME.fullmatch(name) is not None
