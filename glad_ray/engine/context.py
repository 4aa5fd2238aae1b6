"""What jobs share: in this process (local_executor.py), or over Ray."""

import contextlib
from typing import Protocol

from glad_ray.data import Dataset
from glad_ray.engine.jobs import Job
from glad_ray.generators import Generator
from glad_ray.progress.events import Event
from glad_ray.spec import ExpertSet, Run, Sweep
from glad_ray.storage import Storage
from glad_ray.trajectories import Trajectories


class JobContext(Protocol):
    """What a job is given beside its own record."""

    @property
    def sweep(self) -> Sweep:
        """Which it belongs to; of a search, a sweep of what its runs need."""

    @property
    def storage(self) -> Storage:
        """Where it reads and writes."""

    def dataset(self, of: Run | ExpertSet) -> Dataset:
        """The real images of a run or expert set."""

    def generator(self, run: Run, device: str) -> Generator | None:
        """The run's generator, if it has one."""

    def trajectories(self, expert_set: ExpertSet | None) -> Trajectories | None:
        """The trajectories of an expert set, if one is needed."""

    def tell(self, event: Event) -> bool:
        """Report an event; returns whether the job is to end."""

    def share(self, job: Job) -> contextlib.AbstractContextManager[str]:
        """Compute with the job's share; yields the device. Raises `StoppedError` if no job is to begin any more."""

    def time_limit(self) -> contextlib.AbstractContextManager[None]:
        """Bound the time of an evaluation to what the sweep allows."""
