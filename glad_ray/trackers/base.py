"""What a tracker is asked for: to find or begin the record of a run, and to take more of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from glad_ray.storage import Storage

Outcome = Literal["finished", "failed"]
Point = tuple[int, float]
"""a step of the distillation, from 1 (0: of the whole dataset, which takes none), and a value"""

LOSS = "loss"
"""the name of the matching loss"""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told of a run as its record begins."""

    run_id: str
    """by which its record is found again"""
    label: str
    """what it is, for people"""
    sweep: str
    """the name of the sweep or search"""
    settings: Mapping[str, str | int | float | bool]
    """the fields of the run's record by their paths, such as `algorithm.learning_rates.pixels`"""
    storage: Storage
    """where all of it is kept"""

    @property
    def link(self) -> str:
        """Where to find the run itself: a sentence."""
        return f"Run {self.run_id} of the sweep {self.sweep}, kept in {self.storage}"

    @property
    def title(self) -> str:
        """Its label and id."""
        return f"{self.label} {self.run_id}"


class RunRecord(Protocol):
    """The record of one run in a tracker. Whatever goes wrong is raised, as whatever exception the tracker has."""

    last_steps: dict[str, int]
    """the last step that the record holds of every series, by the series' name"""
    has_images: bool
    """whether it holds the synthetic images"""
    finished: bool
    """whether an earlier process brought it to its end"""

    def add(self, name: str, points: Sequence[Point]) -> None:
        """Add points to a series, in the order of their steps, all later than the last that it holds."""

    def add_images(self, png: bytes, step: int) -> None:
        """Add the synthetic images after a step, as one picture."""

    def close(self, outcome: Outcome | None) -> None:
        """Make sure that everything is sent. `outcome`: how the run ended; None: it goes on another time."""


class Tracker(Protocol):
    """A tracker at a place."""

    def record_of(self, run: TrackedRun) -> RunRecord:
        """The record of a run, found by the run's id, or begun with its settings."""
