"""Ray tasks under way, watched by one thread: each ends in one call, and what infrastructure failed is done again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from glad_ray.progress.faults import RETRIES, Fault, Tries, pause_seconds

Start = Callable[[int], ray.ObjectRef[Any]]
"""Starts a task; takes how often that was tried before, since it made progress."""
Failed = Callable[[Exception, Fault], None]
"""Takes what a task raised, or how it was lost for good, as it came and in words."""


@dataclass
class _Task:
    what: str
    start: Start
    ended: Callable[[Any], None]
    failed: Failed
    more_memory: Callable[[], bool]
    tries: Tries


class Tasks:
    """Tasks under way, and those that wait to be tried again; `pause` takes the tries so far and gives seconds."""

    def __init__(self, on_retry: Callable[[str, str], None], pause: Callable[[int], float] = pause_seconds) -> None:
        self._on_retry, self._pause = on_retry, pause
        self._under_way: dict[ray.ObjectRef[Any], _Task] = {}
        self._waiting: list[tuple[float, Callable[[], None]]] = []

    def submit(
        self,
        what: str,
        start: Start,
        ended: Callable[[Any], None],
        failed: Failed,
        more_memory: Callable[[], bool] = lambda: False,
        progress: Callable[[], int] = lambda: 0,
    ) -> None:
        """Start a task, `what` by name; `ended` gets what it returns, which may be a `Fault`. `more_memory` is asked
        for more of a GPU where that was too little; false: there is none. `progress` tells how far it is.
        """
        self._start(_Task(what, start, ended, failed, more_memory, Tries(progress)))

    def here(self, what: str, call: Callable[[], None], failed: Callable[[Fault], None], tries: int = 1) -> None:
        """Call something in this thread, now and, while infrastructure is at fault, again later."""
        try:
            call()
        except Exception as error:
            fault = Fault.of(error)
            if fault.kind != "infrastructure" or tries > RETRIES:
                failed(fault.after(tries))
            else:
                self._later(what, fault, tries, partial(self.here, what, call, failed, tries + 1))

    def __len__(self) -> int:
        return len(self._under_way) + len(self._waiting)

    def poll(self, timeout_seconds: float) -> None:
        """Deal with the tasks that are ready, waiting up to `timeout_seconds` for the first."""
        now = time.monotonic()
        due = [call for at, call in self._waiting if at <= now]
        self._waiting = [(at, call) for at, call in self._waiting if at > now]
        for call in due:
            call()
        if not self._under_way and self._waiting:
            time.sleep(timeout_seconds)
        references = list(self._under_way)
        if references and ray.wait(references, timeout=timeout_seconds)[0]:
            ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
            for reference in ready:
                self._ended(reference, self._under_way.pop(reference))

    def _start(self, task: _Task) -> None:
        self._under_way[task.start(task.tries.number)] = task
        task.tries.begun()

    def _ended(self, reference: ray.ObjectRef[Any], task: _Task) -> None:
        try:
            value = ray.get(reference)
        except RayError as error:
            fault = Fault.of(error)
            if not self._again(task, fault):
                task.failed(error, fault.after(task.tries.number))
        else:
            if not isinstance(value, Fault):
                task.ended(value)
            elif not self._again(task, value):
                task.ended(value.after(task.tries.number))

    def _again(self, task: _Task, fault: Fault) -> bool:
        """Whether a task is tried again after a fault."""
        if task.tries.passed(fault) or (fault.kind == "GPU memory" and task.more_memory()):
            self._later(task.what, fault, task.tries.number, partial(self._start, task))
            return True
        return False

    def _later(self, what: str, fault: Fault, tries: int, call: Callable[[], None]) -> None:
        self._on_retry(what, fault.error)
        self._waiting.append((time.monotonic() + self._pause(tries), call))
