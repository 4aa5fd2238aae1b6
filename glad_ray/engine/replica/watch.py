"""How the replicas are, asked by the driver every few seconds: for its view, and on storage for other terminals."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.exceptions import RayError

from glad_ray.engine.replica.actor import HEALTH
from glad_ray.progress.events import ReplicaHealth
from glad_ray.progress.replica_stats import ReplicaStats, write_replicas
from glad_ray.storage import Storage

ASK_SECONDS = 5.0
_WRITE_SECONDS = 30.0


class ReplicaWatch:
    """Asks the replicas that there are, by name, and never waits for an answer: one that is being started, or started
    again, has none.
    """

    def __init__(
        self, replicas: Callable[[], Mapping[str, Any]], storage: Storage, show: Callable[[ReplicaHealth], None]
    ) -> None:
        self._replicas = replicas
        self._asked: dict[str, ray.ObjectRef[Any]] = {}
        self._storage, self._show = storage, show
        self._ask_at = self._write_at = time.monotonic()

    def poll(self) -> None:
        """Show what was answered and ask again, if it is time to: to be called often."""
        now = time.monotonic()
        if now < self._ask_at or not (replicas := self._replicas()):
            return
        self._ask_at = now + ASK_SECONDS
        answers = [self._asked.pop(name) for name in self._answered()]
        for name in replicas.keys() - self._asked.keys():
            self._asked[name] = _ask(replicas[name])
        loaded = tuple(stats for stats in map(_told, answers) if stats is not None and stats.loaded)
        self._show(ReplicaHealth(loaded))
        if loaded and now >= self._write_at:
            self._write_at = now + _WRITE_SECONDS
            # A storage that cannot be written for a while is tried again.
            with contextlib.suppress(OSError):
                write_replicas(self._storage, loaded)

    def _answered(self) -> list[str]:
        names = {reference: name for name, reference in self._asked.items()}
        if not names:
            return []
        ready, _ = ray.wait(list(names), num_returns=len(names), timeout=0)
        return [names[reference] for reference in ready]


def _ask(replica: Any) -> ray.ObjectRef[Any]:
    # Asked again soon: what is lost with the replica is not repeated.
    asked: ray.ObjectRef[Any] = replica.stats.options(concurrency_group=HEALTH, max_task_retries=0).remote()
    return asked


def _told(answer: ray.ObjectRef[Any]) -> ReplicaStats | None:
    with contextlib.suppress(RayError):
        stats: ReplicaStats = ray.get(answer)
        return stats
    return None
