"""What one command may take, and what it has taken so far."""

import time
from collections.abc import Callable, Hashable

from glad_ray.spec import Resources

_SECONDS_PER_HOUR = 3600.0


class Budget:
    """Hours on the clock, hours of GPUs that units of work held, and runs that failed."""

    def __init__(self, resources: Resources, clock: Callable[[], float] = time.monotonic) -> None:
        self._hours, self._gpu_hours, self._clock = resources.hours, resources.gpu_hours, clock
        self._failures, self._failed = resources.failures, set[Hashable]()
        self._began = clock()
        self._held: dict[Hashable, tuple[float, float]] = {}
        """GPUs, and since when, by unit of work"""
        self._gpu_seconds = 0.0

    def taken(self, unit: Hashable, gpus: float) -> None:
        """A unit of work has begun to compute with a share; one that it had before was lost."""
        self.lost(unit)
        self._held[unit] = (gpus, self._clock())

    def given_back(self, unit: Hashable, gpus: float, seconds: float) -> None:
        """A unit of work has ended, which held a share for so long."""
        self._held.pop(unit, None)
        self._gpu_seconds += gpus * seconds

    def lost(self, unit: Hashable) -> None:
        """A unit of work has ended that tells nothing any more."""
        gpus, since = self._held.pop(unit, (0.0, 0.0))
        self._gpu_seconds += gpus * (self._clock() - since)

    def failed(self, what: Hashable) -> None:
        """A run, or what it needs, has failed for good; the same one again counts once."""
        self._failed.add(what)

    @property
    def gpu_hours(self) -> float:
        """Held so far."""
        now = self._clock()
        held = sum(gpus * (now - since) for gpus, since in self._held.values())
        return (self._gpu_seconds + held) / _SECONDS_PER_HOUR

    @property
    def spent(self) -> str | None:
        """Which budget is spent, in words; None: none is."""
        if self._hours is not None and self._clock() - self._began >= self._hours * _SECONDS_PER_HOUR:
            return f"the {self._hours:g} hours that this command may take (resources.hours)"
        if self._gpu_hours is not None and self.gpu_hours >= self._gpu_hours:
            return f"the {self._gpu_hours:g} GPU hours that this command may take (resources.gpu_hours)"
        if self._failures is not None and len(self._failed) >= self._failures:
            return f"the {self._failures} failures that this command may have (resources.failures)"
        return None
