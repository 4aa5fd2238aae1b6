"""The algorithms: one file each, listed once, in `ALGORITHMS`.

Defaults are those of the profile `paper`: GLaD's, and where it says nothing those of the original algorithms, DC and
DSA (Zhao et al., 2021), DM (Zhao and Bilen, 2023), MTT (Cazenavette et al., 2022). `glad_ray.spec.profiles` has what
GLaD's released code does instead. Of algorithms that GLaD does not have they are their authors'.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from glad_ray.errors import UserError, unknown
from glad_ray.spec.algorithms.base import AlgorithmSettings, LearningRates, Matching
from glad_ray.spec.algorithms.baselines import Herding, KMeans, RandomReal, WholeDataset
from glad_ray.spec.algorithms.custom import CustomAlgorithm
from glad_ray.spec.algorithms.datm import DATM
from glad_ray.spec.algorithms.dc import DC
from glad_ray.spec.algorithms.dm import DM
from glad_ray.spec.algorithms.el2n import EL2N
from glad_ray.spec.algorithms.ftd import FTD
from glad_ray.spec.algorithms.idc import DREAM, IDC
from glad_ray.spec.algorithms.k_center import KCenter
from glad_ray.spec.algorithms.mtt import MTT
from glad_ray.spec.algorithms.ncfm import NCFM
from glad_ray.spec.algorithms.rded import RDED
from glad_ray.spec.written.code_names import is_code_name

ALGORITHMS: tuple[type[AlgorithmSettings], ...] = (
    RandomReal,
    Herding,
    KMeans,
    KCenter,
    EL2N,
    RDED,
    DC,
    DM,
    MTT,
    FTD,
    DATM,
    IDC,
    DREAM,
    NCFM,
    WholeDataset,
)
"""in the order of tables: the baselines, what is distilled, the upper bound; those of users come before that"""
_BY_NAME = {kind.name_of(): kind for kind in ALGORITHMS}
ALGORITHM_NAMES: tuple[str, ...] = tuple(_BY_NAME)

REAL_BATCH_BYTES = 2**31
"""On a GPU, real images go through the network in parts whose activations take no more than this."""


def algorithm_kind(name: str) -> type[AlgorithmSettings]:
    """What is known of the algorithm that tables and files call so."""
    return CustomAlgorithm if is_code_name(name) else _BY_NAME[name]


def algorithm_order(name: str) -> tuple[int, str]:
    """A key that sorts algorithms as tables show them."""
    last = next(kind for kind in reversed(ALGORITHMS) if kind.distils)
    known = last.name_of() if is_code_name(name) else name
    return ALGORITHM_NAMES.index(known), name if is_code_name(name) else ""


def _read(value: Any) -> Any:
    """Settings as they are written: by their name alone, or with their fields."""
    if isinstance(value, AlgorithmSettings):
        return value
    fields = {"name": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping):
        raise UserError(f"{value!r} is no algorithm: write its name, or its record, for example DM().")
    name = fields.get("name")
    if not isinstance(name, str):
        raise UserError(f"An algorithm is known by its name, and {name!r} is none: use {', '.join(ALGORITHM_NAMES)}.")
    if name not in _BY_NAME and not is_code_name(name):
        raise UserError(
            f"{unknown('algorithm', name, ALGORITHM_NAMES)} One of your own is named package.module:class, with "
            "CustomAlgorithm."
        )
    return algorithm_kind(name)(**fields)


Algorithm = Annotated[SerializeAsAny[AlgorithmSettings], BeforeValidator(_read)]

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
