"""When a command reached the points of its start: what `--profile` prints, and keeps in the storage.

Wall seconds count from when this process began, by the kernel's clocks; CPU seconds are those of this process alone, so
a machine that others load shows in the difference. The first time counts.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, final

from typing_extensions import override

from glad_ray.progress.events import (
    Event,
    ExpertEpoch,
    LookTaken,
    PointReached,
    RunDistilled,
    RunProgressed,
    TrainingDone,
)
from glad_ray.progress.view import View
from glad_ray.storage import Storage

_IMPORTED = time.monotonic()
_TOLD_BY: Mapping[type[Event], str] = {
    ExpertEpoch: "first expert epoch",
    RunDistilled: "first set",
    TrainingDone: "first training",
    LookTaken: "first training",
}


class Point(NamedTuple):
    """When a point was reached."""

    seconds: float
    """since this process began"""
    cpu_seconds: float
    """of all threads of this process until then"""


class Timeline:
    """The points reached so far, in their order."""

    def __init__(self) -> None:
        self.began = process_began()
        """when this process began, on the clock of `time.monotonic`"""
        self.points: dict[str, Point] = {}

    def reached(self, point: str) -> None:
        """A point is reached now, unless it was before."""
        self.points.setdefault(point, Point(time.monotonic() - self.began, time.process_time()))

    def add(self, event: Event) -> None:
        """Take notice of an event."""
        match event:
            case PointReached(point):
                self.reached(point)
            case RunProgressed(_, progress) if progress.step > 0:
                self.reached("first step")
            case _ if type(event) in _TOLD_BY:
                self.reached(_TOLD_BY[type(event)])

    @property
    def line(self) -> str:
        """All of it, for people."""
        told = (f"{name} {each.seconds:.1f} ({each.cpu_seconds:.1f})" for name, each in self.points.items())
        return f"times      in seconds since the command began (CPU seconds of its process): {', '.join(told)}"

    def write(self, storage: Storage) -> None:
        """Keep it in place of that of an earlier command."""
        points = {name: each._asdict() for name, each in self.points.items()}
        storage.write_bytes(Storage.PROFILE, json.dumps(points, indent=1).encode())


@final
class TimedView(View):
    """A view whose events reach a timeline as well."""

    def __init__(self, view: View, timeline: Timeline) -> None:
        self._view, self._timeline = view, timeline

    @override
    def show(self, event: Event) -> None:
        self._timeline.add(event)
        self._view.show(event)

    @override
    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)


def process_began() -> float:
    """When this process began, on the clock of `time.monotonic`; where no kernel tells, when this module was imported.

    To a hundredth of a second. A machine that was suspended meanwhile counts that time too.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return _IMPORTED
    return time.monotonic() - (since_boot - ticks / os.sysconf("SC_CLK_TCK"))
