"""Jobs in this process, one after another."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from typing_extensions import override

from glad_ray.data import Dataset
from glad_ray.engine.computing import computing_with, evaluation_bound, own_generator
from glad_ray.engine.context import JobContext
from glad_ray.engine.jobs import NOT_BEGUN, Ended, Job, Outcome
from glad_ray.engine.real_images import DataKey
from glad_ray.engine.scheduler import Executor
from glad_ray.errors import GladRayError
from glad_ray.experts import ExpertFiles
from glad_ray.generators import Generator
from glad_ray.progress.events import Event
from glad_ray.spec import Bundle, ExpertSet, GeneratorRecord, Run, Sweep
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile


class LocalContext(JobContext):
    """What jobs share in this process. `all_cpus`: each computes with as many threads as PyTorch takes."""

    def __init__(
        self,
        sweep: Sweep,
        storage: Storage,
        device: str,
        data: Mapping[DataKey, Dataset],
        files: Mapping[GeneratorRecord, GeneratorFile],
        all_cpus: bool = False,
    ) -> None:
        self._sweep, self._storage, self._device, self._data, self._files = sweep, storage, device, data, files
        self._all_cpus = all_cpus
        self._generators: dict[GeneratorRecord, Generator] = {}
        self._on_event: Callable[[Event], bool] = lambda event: False

    def telling(self, on_event: Callable[[Event], bool]) -> "LocalContext":
        """The same, with somebody who is told events."""
        self._on_event = on_event
        return self

    @property
    @override
    def sweep(self) -> Sweep:
        return self._sweep

    @property
    @override
    def storage(self) -> Storage:
        return self._storage

    @override
    def dataset(self, of: Run | ExpertSet) -> Dataset:
        return self._data[DataKey.of(of)]

    @override
    def generator(self, run: Run, device: str) -> Generator | None:
        if run.generator is None:
            return None
        file = self._files.get(run.generator)
        if run.learn_generator:
            return own_generator(run, self._sweep.resources, device, file)
        # The runs after it share it.
        if run.generator not in self._generators:
            self._generators[run.generator] = own_generator(run, self._sweep.resources, device, file)
        return self._generators[run.generator]

    @override
    def trajectories(self, expert_set: ExpertSet | None) -> ExpertFiles | None:
        return None if expert_set is None else ExpertFiles(self._storage, expert_set)

    @override
    def tell(self, event: Event) -> bool:
        return self._on_event(event)

    @override
    @contextlib.contextmanager
    def share(self, job: Job) -> Iterator[str]:
        resources, work = self._sweep.resources, job.work_class
        cpus = None if self._all_cpus else resources.share_of(work.unit, work.name).bundle.cpus
        with computing_with(cpus, self._device, deterministic=resources.deterministic):
            yield self._device

    @override
    def time_limit(self) -> contextlib.AbstractContextManager[None]:
        return evaluation_bound(self._sweep.resources, or_exit=False)


class LocalExecutor(Executor):
    """Does jobs in the order in which they come. `carry_out` takes a job, and what is told its events."""

    def __init__(self, carry_out: Callable[[Any, Callable[[Event], bool]], Outcome]) -> None:
        self._carry_out = carry_out
        self._queue = deque[Job]()
        self._cancelled = False

    @override
    def submit(self, job: Job, share: Bundle, attempt: int) -> None:
        self._queue.append(job)

    @override
    def poll(self, timeout_seconds: float, on_event: Callable[[Event], bool]) -> list[Ended]:
        if not self._queue:
            time.sleep(timeout_seconds)
            return []
        job = self._queue.popleft()
        if self._cancelled:
            return [Ended(job, Outcome(fault=NOT_BEGUN))]
        outcome = self._carry_out(job, on_event)
        if outcome.fault is not None and outcome.fault.gpu_failed:
            raise GladRayError(
                f"The GPU failed ({outcome.fault.error}), and this process can use it no more: run the command again, "
                "which goes on from what lies on storage."
            )
        return [Ended(job, outcome)]

    @override
    def capacity(self) -> int:
        return 0 if self._queue else 1

    @override
    def cancel(self) -> None:
        self._cancelled = True

    @override
    def drive(self, turn: Callable[[], bool]) -> None:
        while turn():
            pass
