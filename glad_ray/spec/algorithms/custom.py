"""An algorithm of the user's own, named as `package.module:class`."""

import zlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import model_validator
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
from glad_ray.spec.written.code_names import CodeName, Option, check_option_names, plain_options

_MARKERS = "DvPXph<>"
"""by which one algorithm of a user is told from another"""


class CustomAlgorithm(Matching):
    """A matching algorithm that is a class in the user's own code.

    Every machine that distils imports the class and calls it as `class(tools, **options)`; `tools` is a
    `glad_ray.algorithms.Tools`. What methods the class must have is said in `glad_ray/algorithms/custom.py`.
    """

    name: CodeName
    """package.module:class"""
    title: ClassVar[str] = "Algorithms of users"
    implementation: ClassVar[str] = "glad_ray.algorithms.custom:CustomMatching"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#a5327d", "#e58ac4", marker="D")

    iterations: Count = 1000
    """steps on the images"""
    learning_rates: LearningRates = LearningRates(pixels=1.0, f=1.0, w=0.1)
    """of what is optimised"""
    options: Annotated[Mapping[str, Option], plain_options("CustomAlgorithm")] = {}
    """keyword arguments of the class, passed on as they are"""
    real_batch_size: Count | None = 256
    """real images per class and step, where it asks for some; None: it asks for none"""
    experts: Experts | None = None
    """networks trained on the real data that it is given; None: it is given none"""
    passes: Positive | None = None
    """cost of a step, in forward passes of one image through the backbone; used for estimates only, and no part of the
    run's identity; None: estimated as if it were gradient matching"""

    @model_validator(mode="after")
    def _arguments(self) -> Self:
        check_option_names(
            f"CustomAlgorithm.options of {self.name}", self.options, ("tools",), "tools is what it is given already"
        )
        return self

    def __hash__(self) -> int:
        return hash((self.name, self.content_id))

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        return content | {"passes": None}

    @classmethod
    @override
    def title_of(cls, name: str) -> str:
        return name

    @classmethod
    @override
    def label_of(cls, name: str) -> str:
        return name.rpartition(":")[2]

    @classmethod
    @override
    def marker_of(cls, name: str) -> str:
        return _MARKERS[zlib.crc32(name.encode()) % len(_MARKERS)]

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
    def network_passes(self, *, real: int, synthetic: int, images_per_class: int) -> float:
        return self.passes or real * TRAINING + synthetic * SECOND_ORDER

    @override
    def small(self) -> Self:
        experts = self.experts and small_experts(self.experts, count=2, epochs=self.experts.epochs)
        real = self.real_batch_size and min(self.real_batch_size, 8)
        return self.replace(iterations=3, experts=experts, real_batch_size=real)
