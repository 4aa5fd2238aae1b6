"""Ray tasks under way, watched by one thread: each ends in one call, and one lost with its worker is done again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

RETRIES = 3
"""of a unit of work that was lost; a fault of its own is not retried"""
LOST = "lost with its process or machine"


@dataclass
class _Task:
    what: str
    start: Callable[[], ray.ObjectRef[Any]]
    ended: Callable[[Any], None]
    failed: Callable[[Exception], None]
    losses: int = 0


class Tasks:
    """Tasks under way."""

    def __init__(self, on_retry: Callable[[str, str], None]) -> None:
        self._on_retry = on_retry
        self._under_way: dict[ray.ObjectRef[Any], _Task] = {}

    def submit(
        self,
        what: str,
        start: Callable[[], ray.ObjectRef[Any]],
        ended: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Start a task, `what` by name; `ended` gets what it returns, `failed` why it was lost for good."""
        self._under_way[start()] = _Task(what, start, ended, failed)

    def __len__(self) -> int:
        return len(self._under_way)

    def poll(self, timeout_seconds: float) -> None:
        """Deal with the tasks that are ready, waiting up to `timeout_seconds` for the first."""
        while self._under_way:
            ready, _ = ray.wait(list(self._under_way), timeout=timeout_seconds)
            if not ready:
                return
            timeout_seconds = 0
            for reference in ready:
                self._ended(reference, self._under_way.pop(reference))

    def _ended(self, reference: ray.ObjectRef[Any], task: _Task) -> None:
        try:
            value = ray.get(reference)
        except RayError as error:
            if isinstance(error, RayTaskError) or task.losses == RETRIES:
                task.failed(error)
                return
            self._on_retry(task.what, LOST)
            task.losses += 1
            self._under_way[task.start()] = task
        else:
            task.ended(value)
