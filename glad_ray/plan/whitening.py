"""What whitening takes: for every image that is whitened, and once for every dataset whose images are."""

from collections.abc import Iterable
from typing import NamedTuple

from glad_ray.spec import DatasetFacts, ExpertSet, Run, dataset_facts
from glad_ray.spec.images.whitening import Whitening, zca_bytes

_EIGENVECTORS = 15
"""operations to find the eigenvectors of a matrix and to make the two matrices of them, in cubes of its side"""
_FIT_MATRICES = 7
"""matrices of float64 that are held while a whitening is fitted"""


class Fit(NamedTuple):
    """A whitening that some runs or experts need, fitted to the training images of a dataset."""

    facts: DatasetFacts
    resolution: int
    antialias: bool
    held_out: int

    @property
    def _numbers(self) -> int:
        return self.facts.channels * self.resolution**2

    @property
    def flops(self) -> float:
        """Floating-point operations of fitting it, which is done once."""
        images = self.facts.train_images - self.facts.classes * self.held_out
        return 2.0 * images * self._numbers**2 + _EIGENVECTORS * self._numbers**3

    @property
    def memory_bytes(self) -> int:
        """Memory that fitting it takes, the training images apart."""
        return _FIT_MATRICES * 8 * self._numbers**2

    @property
    def kept_bytes(self) -> int:
        """Size of what is kept of it."""
        return zca_bytes(self.facts.channels, self.resolution)


def whitening_multiply_adds(whitening: Whitening, facts: DatasetFacts, resolution: int) -> int:
    """Multiply-adds of whitening one image; 0 where images are not whitened."""
    return 0 if whitening == "none" else (facts.channels * resolution**2) ** 2


def fits(runs: Iterable[Run], expert_sets: Iterable[ExpertSet]) -> tuple[Fit, ...]:
    """The whitenings that some runs and experts need, each once."""
    of_runs = [(run.whitening, Fit(run.facts, run.pixels, run.antialias, run.held_out)) for run in runs]
    of_experts = [
        (each.whitening, Fit(dataset_facts(each.dataset), each.resolution, each.antialias, each.held_out))
        for each in expert_sets
        if each.whitening != "none"
    ]
    return tuple(dict.fromkeys(fit for whitening, fit in (*of_runs, *of_experts) if whitening != "none"))
