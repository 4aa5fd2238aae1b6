"""The baselines every table needs: real images chosen from each class, not distilled, and the whole dataset."""

from typing import Literal

from glad_ray.spec.experts import Experts
from glad_ray.spec.record import Record


class _NotDistilled(Record):
    def steps(self, images_per_class: int) -> int:
        """No step is made."""
        return 0


class RandomReal(_NotDistilled):
    """Real images drawn at random from each class."""

    name: Literal["random"] = "random"


class Herding(_NotDistilled):
    """Real images that, one after another, bring their mean feature nearest to the class's (Rebuffi et al., 2017)."""

    name: Literal["herding"] = "herding"
    features: Experts | None = Experts(count=1)
    """networks trained on the real data whose features (before the last layer) are taken; None: normalised pixels"""


class KMeans(_NotDistilled):
    """The real images nearest to the centres of k-means clusters of each class, one image a cluster."""

    name: Literal["kmeans"] = "kmeans"
    features: Experts | None = Experts(count=1)
    """networks trained on the real data whose features (before the last layer) are taken; None: normalised pixels"""


class WholeDataset(_NotDistilled):
    """All training images: what a synthetic set is measured against. It is trained on, never stored."""

    name: Literal["whole"] = "whole"
