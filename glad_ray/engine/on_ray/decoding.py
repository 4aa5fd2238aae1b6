"""Real images decoded by the whole cluster: a task a part, and in this process those whose files it alone sees."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ray
from typing_extensions import override

from glad_ray.data.dataset import Split
from glad_ray.data.parts import Form, Part
from glad_ray.data.prepare import decode_here
from glad_ray.engine.budget import Budget
from glad_ray.engine.computing import computing_with
from glad_ray.engine.jobs import Ended, Job, Key, Outcome, WorkClass
from glad_ray.engine.on_ray.tasks import RayTasks
from glad_ray.engine.scheduler import Executor, Policy, Scheduler
from glad_ray.engine.shares import ShareTable
from glad_ray.errors import GladRayError
from glad_ray.progress.events import Event
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.spec import Bundle, Resources, Share

_CPUS = 1
_PARTS_PER_CPU = 2


@dataclass(frozen=True)
class DecodingJob(Job):
    """The decoding of some files of a dataset."""

    number: int
    part: Part
    form: Form

    @property
    @override
    def label(self) -> str:
        return f"decoding of {self.part.files[0].name}"

    @property
    @override
    def key(self) -> Key:
        return "decoding", str(self.number)

    @property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass("expert", "decoding", "decoding")


def decode_on_cluster(view: View, parts: Sequence[Part], form: Form) -> Iterator[tuple[Part, Iterable[Split]]]:
    """Decode parts on the whole cluster; they come as they are done. Raises what decoding raises, and `GladRayError`
    for a part that is lost again and again.
    """
    resources, policy = Resources(expert=Share(cpus=_CPUS)), _Parts(parts, form)
    scheduler = Scheduler(_TaskExecutor(), policy, ShareTable(resources), Budget(resources), view)
    while scheduler.turn():
        while policy.decoded:
            yield policy.decoded.popleft()
    yield from decode_here(policy.unseen, form)


class _Parts(Policy):
    """All parts, some at once: what is decoded and not yet written takes room in the object store."""

    def __init__(self, parts: Sequence[Part], form: Form) -> None:
        self.decoded = deque[tuple[Part, list[Split]]]()
        self.unseen: list[Part] = []
        """whose files no machine but this one sees"""
        self._jobs = deque(DecodingJob(number, part, form) for number, part in enumerate(parts))
        self._under_way = 0

    @override
    def first(self) -> Iterable[Job]:
        return ()

    @override
    def more(self, room: int) -> Iterator[Job]:
        while self._jobs and self._under_way < room:
            self._under_way += 1
            yield self._jobs.popleft()

    @override
    def succeeded(self, job: Any, value: Any) -> Iterable[Job]:
        self._under_way -= 1
        if isinstance(value, GladRayError):
            raise value
        if value is None:
            self.unseen.append(job.part)
        else:
            self.decoded.append((job.part, value))
        return ()

    @override
    def failed(self, job: Any, fault: Fault, step: int | None) -> Iterable[Job]:
        raise GladRayError(f"Some real images could not be decoded: {fault.error}.")

    @override
    def interrupted(self, job: Any) -> None:
        raise AssertionError("decoding has no budget")


class _TaskExecutor(Executor):
    """Tasks alone, spread over the cluster."""

    def __init__(self) -> None:
        self._tasks = RayTasks(_decode, None)
        self._capacity = max(1, int(ray.cluster_resources().get("CPU", 1) / _CPUS)) * _PARTS_PER_CPU

    @override
    def submit(self, job: Job, share: Bundle, attempt: int) -> None:
        self._tasks.submit(job, share, attempt, spread=True)

    @override
    def poll(self, timeout_seconds: float, on_event: Callable[[Event], bool]) -> list[Ended]:
        return self._tasks.poll(timeout_seconds)

    @override
    def capacity(self) -> int:
        return self._capacity

    @override
    def cancel(self) -> None:
        raise AssertionError("decoding has no budget")

    @override
    def drive(self, turn: Callable[[], bool]) -> None:
        while turn():
            pass


def _decode(job: DecodingJob, context: None) -> Outcome:
    """The images of a part; None if this machine does not see its files."""
    if not job.part.files[0].exists():
        return Outcome()
    try:
        with computing_with(_CPUS), ThreadPoolExecutor(_CPUS) as executor:
            return Outcome(list(job.part.images(job.form, executor)))
    except GladRayError as error:
        return Outcome(error)
