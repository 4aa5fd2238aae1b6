"""The baselines every table needs: real images chosen from each class, not distilled, and the whole dataset."""

from typing import ClassVar, Literal, Self

from typing_extensions import override

from glad_ray.spec.algorithms.base import AlgorithmSettings, FigureStyle, small_experts
from glad_ray.spec.experts import Experts


class RandomReal(AlgorithmSettings):
    """Real images drawn at random from each class."""

    name: Literal["random"] = "random"
    title: ClassVar[str] = "Random real images"
    printed_as: ClassVar[str | None] = "random selection"
    implementation: ClassVar[str] = "glad_ray.coresets.random_real:random_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#6b7480", "#a3acb6", dashes=(0, (4, 3)))


class OfFeatures(AlgorithmSettings):
    """A baseline that goes by features of images."""

    features: Experts | None = Experts(count=1)
    """networks trained on the real data whose features (before the last layer) are taken; None: normalised pixels"""

    @property
    @override
    def experts_needed(self) -> Experts | None:
        return self.features

    @override
    def small(self) -> Self:
        if self.features is None:
            return self
        return self.replace(features=small_experts(self.features, count=1, epochs=1))


class Herding(OfFeatures):
    """Real images that, one after another, bring their mean feature nearest to the class's (Rebuffi et al., 2017)."""

    name: Literal["herding"] = "herding"
    title: ClassVar[str] = "Herding, images whose mean features come nearest to those of their class"
    implementation: ClassVar[str] = "glad_ray.coresets.herding:herded_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#8f6b00", "#d9b84a", dashes=(0, (1, 1.5)))


class KMeans(OfFeatures):
    """The real images nearest to the centres of k-means clusters of each class, one image a cluster."""

    name: Literal["kmeans"] = "kmeans"
    title: ClassVar[str] = "K-means, images nearest to the centres of clusters of their class"
    implementation: ClassVar[str] = "glad_ray.coresets.k_means:central_images"
    figure_style: ClassVar[FigureStyle] = FigureStyle("#8a4fb0", "#c79bea", dashes=(0, (6, 2, 1, 2)))


class WholeDataset(AlgorithmSettings):
    """All training images: what a synthetic set is measured against. It is trained on, never stored."""

    name: Literal["whole"] = "whole"
    title: ClassVar[str] = "Whole dataset"
    printed_as: ClassVar[str | None] = "whole dataset"
    whole_dataset: ClassVar[bool] = True
    figure_style: ClassVar[FigureStyle] = FigureStyle("#1b1f24", "#e4e7ea", marker="*")
