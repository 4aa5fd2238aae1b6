"""Batches of requests: what is computed together, in whose turn, within which bounds."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from glad_ray.engine.replica.batching import Batching, FairQueue, Request, Room
from tests.faults.processes import until


class Bench:
    """A `Batching` whose computations wait to be let go, and what it did."""

    def __init__(self, *, images=100, at_once=1, memory_bytes=1, batch_bytes=1):
        self.computed, self.batches, self.running, self.most_at_once = [], [], 0, 0
        self.lock, self.go = threading.Lock(), threading.Event()
        self.batching = Batching(
            self.compute,
            lambda key: Room(images, batch_bytes),
            at_once=at_once,
            memory_bytes=memory_bytes,
            on_batch=self.batches.append,
        )
        self.pool = ThreadPoolExecutor(64)

    def compute(self, key, calls):
        with self.lock:
            self.computed.append((key, calls))
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        try:
            self.go.wait(30)
            if any(call == "broken" for call in calls):
                raise ValueError("broken")
            return [f"{key} {call}" for call in calls]
        finally:
            with self.lock:
                self.running -= 1

    def ask(self, client, key, call, images=1):
        """A request that is being computed when this returns, as the first, or waits, as all others."""
        busy, waiting = bool(self.computed), self.batching.waiting
        future = self.pool.submit(self.batching.serve, client, key, images, call)
        until(lambda: self.batching.waiting > waiting if busy else self.computed)
        return future

    def order(self):
        """The calls of each batch, when all have been computed."""
        self.go.set()
        self.pool.shutdown()
        return [calls for _, calls in self.computed]


def test_what_waits_and_is_alike_is_computed_together():
    bench = Bench()
    futures = [bench.ask(f"client {n}", key, n) for n, key in enumerate("abaabc")]
    assert bench.order() == [[0], [1, 4], [2, 3], [5]]
    assert [future.result() for future in futures] == ["a 0", "b 1", "a 2", "a 3", "b 4", "c 5"]
    assert [(batch.requests, batch.images) for batch in bench.batches] == [(1, 1), (2, 2), (2, 2), (1, 1)]


def test_batches_have_no_more_images_than_there_is_room_for():
    bench = Bench(images=5)
    for n, images in enumerate([1, 2, 4, 3, 9, 1]):
        bench.ask(f"client {n}", "a", n, images)
    # The fourth passes the third, which does not fit in with the second and goes next; more than the room goes alone.
    assert bench.order() == [[0], [1, 3], [2, 5], [4]]


def test_a_flood_does_not_push_others_back():
    bench = Bench(images=1)
    for n in range(10):
        bench.ask("flood", "a", f"flood {n}")
    bench.ask("other", "b", "other 0")
    bench.ask("other", "b", "other 1")
    order = [call for (call,) in bench.order()]
    assert order[:5] == ["flood 0", "flood 1", "other 0", "flood 2", "other 1"]
    assert order[5:] == [f"flood {n}" for n in range(3, 10)]


def test_a_key_in_fashion_does_not_starve_another():
    queue = FairQueue()
    for n in range(3):
        queue.add(Request(f"client {n}", "rare" if n == 2 else "common", 1, n))
    for _ in range(2):
        first = queue.next()
        alike = queue.alike(first.key, 100)
        if first.key == "rare":
            break
        for request in (first, *alike):
            queue.add(Request(request.client, "common", 1, None))
    assert first.key == "rare"


def test_an_error_reaches_its_own_caller_alone():
    bench = Bench()
    bench.ask("first", "a", "first")
    futures = {call: bench.ask(call, "b", call) for call in ("x", "broken", "y")}
    assert bench.order() == [["first"], ["x", "broken", "y"], ["x"], ["broken"], ["y"]]
    with pytest.raises(ValueError, match="broken"):
        futures["broken"].result()
    assert [futures[call].result() for call in "xy"] == ["b x", "b y"]


def test_an_error_on_the_way_to_room_is_the_callers_and_the_next_goes_on():
    def room(key):
        if key == "nowhere":
            raise ValueError("nowhere")
        return Room(1, 1)

    batching = Batching(lambda key, calls: calls, room, at_once=1, memory_bytes=1, on_batch=lambda batch: None)
    with pytest.raises(ValueError, match="nowhere"):
        batching.serve("client", "nowhere", 1, "call")
    assert batching.serve("client", "somewhere", 1, "call") == "call"


@pytest.mark.parametrize(("at_once", "memory_bytes", "most"), [(3, 100, 3), (3, 20, 2), (3, 5, 1), (1, 100, 1)])
def test_batches_at_once_are_bounded_by_number_and_by_memory(at_once, memory_bytes, most):
    bench = Bench(images=1, at_once=at_once, memory_bytes=memory_bytes, batch_bytes=10)
    futures = [bench.pool.submit(bench.batching.serve, str(n), "a", 1, n) for n in range(8)]
    until(lambda: bench.running == most)
    time.sleep(0.05)
    assert len(bench.order()) == len(futures) == 8
    assert bench.most_at_once == most


def test_a_lone_client_waits_for_no_other():
    bench = Bench()
    bench.go.set()
    for n in range(40):
        bench.batching.serve("client", "a", 1, n)
    assert {batch.requests for batch in bench.batches} == {1}
