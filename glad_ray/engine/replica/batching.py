"""Requests of many clients, computed in batches.

Whoever computes takes the request whose turn it is and all that waits and is alike, as far as there is room. So nothing
waits for others to come, and a request that is alone is computed at once. Neither PyTorch nor Ray is needed here.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Room(NamedTuple):
    """What a batch may take."""

    images: int
    """at most; a request that alone has more is a batch by itself"""
    memory_bytes: int
    """for as long as it is computed"""


class Batch(NamedTuple):
    """A batch that was computed."""

    requests: int
    images: int
    waited_seconds: float
    """by the request in it that was next in turn"""
    seconds: float
    """of computing"""


@dataclass(eq=False)
class Request:
    """One that waits; `key` is equal for those that can be computed together."""

    client: str
    key: Hashable
    images: int
    call: Any
    future: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class FairQueue:
    """Requests in turn: the next is of the client that waits longest since its last, however many another one has."""

    def __init__(self) -> None:
        self._of_clients: OrderedDict[str, deque[Request]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._of_clients.values()))

    def add(self, request: Request) -> None:
        """Let a request wait."""
        self._of_clients.setdefault(request.client, deque()).append(request)

    def next(self) -> Request:
        """Take the request whose turn it is; there has to be one."""
        return self._take(next(iter(self._of_clients)))

    def alike(self, key: Hashable, images: int) -> list[Request]:
        """Take the requests of this key, in turn, that together have no more images."""
        found: list[Request] = []
        before = -1
        while before < len(found):
            before = len(found)
            for client, waiting in list(self._of_clients.items()):
                if waiting[0].key == key and waiting[0].images <= images:
                    images -= waiting[0].images
                    found.append(self._take(client))
        return found

    def _take(self, client: str) -> Request:
        waiting = self._of_clients.pop(client)
        request = waiting.popleft()
        if waiting:
            self._of_clients[client] = waiting
        return request


class Batching:
    """Computes requests in batches, several at once, within a budget of memory."""

    def __init__(
        self,
        compute: Callable[[Any, list[Any]], list[Any]],
        room: Callable[[Any], Room],
        *,
        at_once: int,
        memory_bytes: int,
        on_batch: Callable[[Batch], None],
    ) -> None:
        """`compute`: from a key and the calls of a batch to what came of each; `room`: for a batch of a key, asked by
        one thread at a time; `at_once`: batches that are computed beside one another, each by a thread that does
        nothing else; `on_batch`: told of each.
        """
        self._compute, self._room, self._on_batch = compute, room, on_batch
        self._memory = _Memory(memory_bytes)
        self._pool = ThreadPoolExecutor(at_once)
        self._lock = threading.Lock()
        self._admission = threading.Lock()
        self._queue = FairQueue()

    def serve(self, client: str, key: Hashable, images: int, call: Any) -> Any:
        """What comes of a call, when it has been computed; raises what computing it raised."""
        request = Request(client, key, images, call)
        with self._lock:
            self._queue.add(request)
        self._pool.submit(self._turn)
        return request.future.result()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        with self._lock:
            return len(self._queue)

    def _turn(self) -> None:
        """Compute a batch, if anything waits: every request brings a turn, also one that went with another's."""
        with self._lock:
            if not len(self._queue):
                return
            batch = [self._queue.next()]
        try:
            # One waits for memory at a time: a batch that takes much is not overtaken by others that take little.
            with self._admission:
                room = self._room(batch[0].key)
                self._memory.take(room.memory_bytes)
            try:
                with self._lock:
                    batch += self._queue.alike(batch[0].key, room.images - batch[0].images)
                self._answer(batch)
            finally:
                self._memory.give_back(room.memory_bytes)
        except Exception as error:
            for request in batch:
                request.future.set_exception(error)

    def _answer(self, batch: list[Request]) -> None:
        begin = time.monotonic()
        outcomes = self._outcomes(batch)
        self._on_batch(
            Batch(
                requests=len(batch),
                images=sum(request.images for request in batch),
                waited_seconds=begin - batch[0].since,
                seconds=time.monotonic() - begin,
            )
        )
        for request, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(outcome)

    def _outcomes(self, batch: list[Request]) -> list[Any]:
        """What came of each request, or the exception that it raised."""
        try:
            return self._compute(batch[0].key, [request.call for request in batch])
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # Each by itself tells whose fault it is.
            return [self._outcomes([request])[0] for request in batch]


class _Memory:
    """A budget in bytes; what alone takes more than all of it may have it when nothing else has any."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes, self._taken_bytes = total_bytes, 0
        self._changed = threading.Condition()

    def take(self, wanted_bytes: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not self._taken_bytes or self._taken_bytes + wanted_bytes <= self._total_bytes
            )
            self._taken_bytes += wanted_bytes

    def give_back(self, taken_bytes: int) -> None:
        with self._changed:
            self._taken_bytes -= taken_bytes
            self._changed.notify_all()
