"""One disagreement between a paper and its released code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from glad_ray.spec.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from glad_ray.spec.run import Run

DISTILLING = tuple(kind.name_of() for kind in ALGORITHMS if kind.distils)
"""names of the algorithms that distil"""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One disagreement."""

    item: str
    paper: str
    code: str
    follows: Literal["profile", "paper", "code", "own"]
    """`profile`: the run's; else the same in both, `own` where neither is right"""
    reason: str = ""
    field: str = ""
    """of a run, where a profile sets it"""
    algorithms: tuple[str, ...] = ("dc", "dm", "mtt")
    applies: Callable[["Run"], bool] = lambda run: True
    """whether it is one of a run of these algorithms"""
    code_value: Callable[["Run"], Any] | None = None
    """what the profile `reference-code` sets the field to"""


def layered(run: "Run") -> bool:
    """Whether it goes through several layers, as H-PD does."""
    return len(run.spaces) > 1
