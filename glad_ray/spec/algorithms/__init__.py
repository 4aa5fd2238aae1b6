"""The algorithms: one file each, listed once, in `ALGORITHMS`.

Defaults are those of the profile `paper`: GLaD's, and where it says nothing those of the original algorithms, DC and
DSA (Zhao et al., 2021), DM (Zhao and Bilen, 2023), MTT (Cazenavette et al., 2022). `glad_ray.spec.profiles` has what
GLaD's released code does instead.
"""

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from glad_ray.spec.algorithms.base import AlgorithmSettings, LearningRates, Matching
from glad_ray.spec.algorithms.baselines import Herding, KMeans, RandomReal, WholeDataset
from glad_ray.spec.algorithms.dc import DC
from glad_ray.spec.algorithms.dm import DM
from glad_ray.spec.algorithms.mtt import MTT

_Known = RandomReal | Herding | KMeans | DC | DM | MTT | WholeDataset
ALGORITHMS: tuple[type[AlgorithmSettings], ...] = get_args(_Known)
"""in the order of tables: the baselines, what is distilled, the upper bound"""
_BY_NAME = {kind.name_of(): kind for kind in ALGORITHMS}
ALGORITHM_NAMES: tuple[str, ...] = tuple(_BY_NAME)

REAL_BATCH_BYTES = 2**31
"""On a GPU, real images go through the network in parts whose activations take no more than this."""


def algorithm_kind(name: str) -> type[AlgorithmSettings]:
    """What is known of the algorithm that tables and files call so."""
    return _BY_NAME[name]


def algorithm_order(name: str) -> int:
    """Where an algorithm stands in tables."""
    return ALGORITHM_NAMES.index(name)


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Algorithm = Annotated[_Known, Field(discriminator="name"), BeforeValidator(_by_name)]

__all__ = [
    "ALGORITHMS",
    "ALGORITHM_NAMES",
    "REAL_BATCH_BYTES",
    "Algorithm",
    "AlgorithmSettings",
    "LearningRates",
    "Matching",
    "algorithm_kind",
    "algorithm_order",
]
