"""The executor on Ray: distillations as trials of Ray Tune, everything else as tasks, from the driver's one thread.

Nothing waits while it holds a share: a trial ends when its set is written, tasks queue without one, and the driver has
none.
"""

import math
import pickle
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import ray
from typing_extensions import override

from glad_ray.engine.carry_out import Work
from glad_ray.engine.cluster.first_process import AT_MOST_SECONDS, FirstProcess
from glad_ray.engine.jobs import NOT_BEGUN, DistillationJob, Ended, Job, Key, Outcome, WorkClass
from glad_ray.engine.on_ray.context import RayContext
from glad_ray.engine.on_ray.node_actors import NodeActors, alive_nodes
from glad_ray.engine.on_ray.tasks import RayTasks
from glad_ray.engine.on_ray.trials import Trials
from glad_ray.engine.replica.watch import ReplicaWatch
from glad_ray.engine.scheduler import Executor
from glad_ray.engine.shares import ShareTable
from glad_ray.plan.machines import NodeType, room_for
from glad_ray.progress.events import Event, ShareTaken
from glad_ray.progress.view import View
from glad_ray.spec import Bundle

if TYPE_CHECKING:
    from ray.tune import Callback

_POLL_SECONDS = 0.25
_CLUSTER_SECONDS = 2.0
_TASKS_WAIT_SECONDS = 60.0
"""for which processes of trials go on to the next run while tasks wait for a share: to start another takes seconds"""
_FIRST_TASKS_WAIT_SECONDS = 20.0
"""the same before the first results, which tell whether a sweep is worth its time"""
_TRIALS_WAIT_SECONDS = 5.0
"""for which tasks go before trials that wait for a share; Ray by itself gives what is free to any task first"""
_TURN_SECONDS = 60.0
"""the longest that one of the two waits for the other"""
_TASKS_AHEAD = 4
"""tasks of one share at least that Ray has beside those that run"""


class Cluster(NamedTuple):
    """What an executor has of a cluster."""

    context: RayContext
    shares: ShareTable
    actors: NodeActors
    types: tuple[NodeType, ...]
    """of machines that an autoscaler may start; none: it stays as it is, for all that is known"""
    alone: bool
    """whether nobody else uses it"""


class RayExecutor(Executor):
    """`distillations` are the kinds of those there may be, for how many there is room."""

    def __init__(
        self,
        cluster: Cluster,
        distillations: Iterable[WorkClass],
        view: View,
        work: Work,
        callbacks: Sequence["Callback"] = (),
    ) -> None:
        self._context, self._shares, self._actors, self._types, _ = cluster
        self._distillations = set(distillations)
        context = self._context if work.with_context else self._context.events
        self._tasks = RayTasks(work.carry_out, context)
        # Of a cluster that others use, or that grows, a trial may have its share much later.
        bound = AT_MOST_SECONDS if cluster.alone else math.inf
        first_process = FirstProcess("the first process of a trial", view, at_most_seconds=bound)
        self._trials = Trials(work.distil, context, first_process, callbacks)
        self._events = self._context.events.take.remote(False)
        self._replicas = ReplicaWatch(lambda: self._actors.replicas, self._context.storage, view.show)
        self._cancelled = False
        self._in_tune = False
        self._held = defaultdict[Bundle, deque[tuple[Job, int]]](deque)
        """tasks that Ray was not given yet, with their attempts, by their shares"""
        self._waiting: dict[Key, Bundle] = {}
        """tasks that have no share yet, of those that Ray was given"""
        self._nodes: list[Mapping[str, float]] = []
        self._turn_of_tasks = Turn(_TASKS_WAIT_SECONDS, _FIRST_TASKS_WAIT_SECONDS)
        self._turn_of_trials = Turn(_TRIALS_WAIT_SECONDS)
        self._polled = self._counted = 0.0
        self._slots = 0

    @override
    def submit(self, job: Job, share: Bundle, attempt: int) -> None:
        if isinstance(job, DistillationJob):
            self._trials.submit(job, share)
        else:
            self._held[share].append((job, attempt))
            self._submit_held()

    @override
    def poll(self, timeout_seconds: float, on_event: Callable[[Event], bool]) -> list[Ended]:
        # Tune waits for its trials itself, and one that was submitted is to begin.
        busy = self._in_tune or self._trials.submitted
        ended = []
        for each in self._trials.take():
            if isinstance(each, Ended):
                ended.append(each)
            else:
                on_event(each)
        if self._cancelled:
            held = chain.from_iterable(self._held.values())
            not_begun = [job for job, _ in (*held, *self._trials.submitted)]
            ended += [Ended(job, Outcome(fault=NOT_BEGUN)) for job in not_begun]
            self._held.clear()
            self._trials.submitted.clear()
        if ended or (busy and time.monotonic() - self._polled < _POLL_SECONDS):
            return ended
        self._polled = time.monotonic()
        ended += self._tasks.poll(0 if busy else timeout_seconds)
        self._take_events(on_event)
        self._actors.follow()
        self._replicas.poll()
        for job, _ in ended:
            self._waiting.pop(job.key, None)
        self._submit_held()
        self._watch_first_process()
        if not (self._held or len(self._tasks) or len(self._trials)):
            # What was told until now is whole only when the answer under way and the next one are there.
            for _ in range(2):
                ray.wait([self._events])
                self._take_events(on_event)
        return ended

    @override
    def capacity(self) -> int:
        """Where machines may come, as many again as there are, which lets an autoscaler start them."""
        if time.monotonic() - self._counted > _CLUSTER_SECONDS:
            self._nodes = [node["Resources"] for node in alive_nodes()]
            now = self._room((node, 1) for node in self._nodes)
            at_most = self._room((each.resources, each.at_most) for each in self._types)
            self._slots = now + max(0, min(now, at_most - now))
            self._counted = time.monotonic()
        return 0 if self._turn_of_tasks.now(self._have_room(self._waiting.values())) else self._slots

    @override
    def cancel(self) -> None:
        self._cancelled = True

    def _submit_held(self) -> None:
        """Give Ray some more tasks than run, unless it is the turn of trials."""
        if not self._held or self._turn_of_trials.now(self._have_room(self._trials.waiting())):
            return
        # Of every share: those that are too large now would keep away the ones for which there is room.
        waiting = Counter(self._waiting.values())
        for share, held in list(self._held.items()):
            for _ in range(min(len(held), max(_TASKS_AHEAD, 2 * self._slots) - waiting[share])):
                job, attempt = held.popleft()
                self._waiting[job.key] = share
                self._tasks.submit(job, share, attempt)
            if not held:
                del self._held[share]

    def _watch_first_process(self) -> None:
        if (first := self._trials.first_process) is None:
            return
        if len(self._tasks) or not len(self._trials):
            first.hold()
        else:
            first.check()

    def _have_room(self, waiting: Iterable[Bundle]) -> bool:
        """Whether there is a machine for something that waits; for the rest, one has to come."""
        return any(room_for(node, each) for each in set(waiting) for node in self._nodes)

    @override
    def drive(self, turn: Callable[[], bool]) -> None:
        while turn():
            if self._trials.submitted:
                self._in_tune = True
                self._trials.run(turn)
                self._in_tune = False

    def _room(self, machines: Iterable[tuple[Mapping[str, float], int]]) -> int:
        """Distillations that so many machines of each kind have room for at once."""
        each_kind = list(machines)
        needed = set(map(self._shares.of, self._distillations))
        return max((sum(room_for(has, each) * count for has, count in each_kind) for each in needed), default=0)

    def _take_events(self, on_event: Callable[[Event], bool]) -> None:
        # Never waited for: the queue may be on its way to another machine.
        ready, _ = ray.wait([self._events], timeout=0)
        if not ready:
            return
        events: list[bytes] = ray.get(self._events)
        self._events = self._context.events.take.remote(self._cancelled)
        for event in map(pickle.loads, events):
            if isinstance(event, ShareTaken):
                self._waiting.pop(event.unit, None)
            on_event(event)


class Turn:
    """Whether it is the turn of those that wait for a share, and others are to let them pass.

    It begins when some have waited for `wait_seconds` since the last one (the first: for `first_seconds`), and ends
    when none waits, or after a minute.
    """

    def __init__(self, wait_seconds: float, first_seconds: float | None = None) -> None:
        self._wait_seconds = wait_seconds
        self._next_seconds = wait_seconds if first_seconds is None else first_seconds
        self._began: float | None = None
        self._ended = time.monotonic()

    def now(self, waiting: bool) -> bool:
        """Whether that is so; `waiting`: whether some wait."""
        now = time.monotonic()
        if self._began is None and waiting and now - self._ended > self._next_seconds:
            self._began, self._next_seconds = now, self._wait_seconds
        elif self._began is not None and (not waiting or now - self._began > _TURN_SECONDS):
            self._began, self._ended = None, now
        return self._began is not None
