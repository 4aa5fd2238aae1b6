"""How a replica is: a small record that it returns when asked, and metrics that Ray's dashboard shows."""

import socket
import threading
import time
from collections import deque
from datetime import UTC, datetime

from ray.util.metrics import Counter, Gauge, Histogram

from glad_ray.engine.replica.batching import Batch
from glad_ray.progress.replica_stats import ReplicaStats

_RATE_SECONDS = 30.0
_SIZES = [2.0**power for power in range(10)]
_SECONDS = [0.001, 0.01, 0.1, 1, 10, 100]


class Health:
    """What a replica counts of itself."""

    def __init__(self, generator: str) -> None:
        self._generator = generator
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._requests = self._batches = self._largest_requests = self._largest_images = 0
        self._latest: deque[tuple[float, int]] = deque()
        names = ("generator",)
        tags = {"generator": generator}
        self._counter = Counter("glad_ray_replica_requests", "Requests computed.", names)
        self._sizes = Histogram("glad_ray_replica_batch_requests", "Requests of a batch.", _SIZES, names)
        self._images = Histogram("glad_ray_replica_batch_images", "Images of a batch.", _SIZES, names)
        self._waits = Histogram("glad_ray_replica_wait_seconds", "Seconds that a batch waited.", _SECONDS, names)
        self._computations = Histogram("glad_ray_replica_batch_seconds", "Seconds of a batch.", _SECONDS, names)
        self._queue = Gauge("glad_ray_replica_waiting", "Requests that wait.", names)
        self._memory = Gauge("glad_ray_replica_memory_bytes", "The most memory taken so far.", names)
        metrics = (self._counter, self._sizes, self._images, self._waits, self._computations, self._queue, self._memory)
        for metric in metrics:
            metric.set_default_tags(tags)

    def computed(self, batch: Batch, waiting: int, memory_bytes: int) -> None:
        """Count a batch."""
        now = time.monotonic()
        with self._lock:
            self._requests += batch.requests
            self._batches += 1
            self._largest_requests = max(self._largest_requests, batch.requests)
            self._largest_images = max(self._largest_images, batch.images)
            self._latest.append((now, batch.requests))
            self._forget(now)
        self._counter.inc(batch.requests)
        self._sizes.observe(batch.requests)
        self._images.observe(batch.images)
        self._waits.observe(batch.waited_seconds)
        self._computations.observe(batch.seconds)
        self._queue.set(waiting)
        self._memory.set(memory_bytes)

    def stats(self, waiting: int, memory_bytes: int | None) -> ReplicaStats:
        """All of it; `memory_bytes` is None until there is a generator."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            seconds = min(_RATE_SECONDS, now - self._begin)
            latest = sum(requests for _, requests in self._latest)
            return ReplicaStats(
                generator=self._generator,
                host=socket.gethostname(),
                at=datetime.now(UTC),
                loaded=memory_bytes is not None,
                requests=self._requests,
                requests_per_second=latest / seconds,
                requests_per_batch=latest / max(len(self._latest), 1),
                waiting=waiting,
                batches=self._batches,
                largest_batch_requests=self._largest_requests,
                largest_batch_images=self._largest_images,
                memory_bytes=memory_bytes or 0,
            )

    def _forget(self, now: float) -> None:
        while self._latest and self._latest[0][0] < now - _RATE_SECONDS:
            self._latest.popleft()
