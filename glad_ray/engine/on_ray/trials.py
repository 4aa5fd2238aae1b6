"""The distillations that are to run or are running as trials of Ray Tune, and what was heard of them.

Nothing here imports PyTorch or Ray Tune.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ray

from glad_ray.engine.cluster.first_process import FirstProcess
from glad_ray.engine.jobs import DistillationJob, Ended
from glad_ray.engine.shares import placement_bundle
from glad_ray.progress.events import Event
from glad_ray.spec import Bundle

if TYPE_CHECKING:
    from ray.tune import Callback

_REPORT_SECONDS = 2.0
_REPORT_SECONDS_PER_TRIAL = 0.01
"""for each of those under way at once: every report costs the driver some milliseconds"""


class Trials:
    """Trials that are to run or are running.

    `distil` takes a job and `context`, and yields its progress; `callbacks` are Tune's, beside our own.
    """

    def __init__(
        self, distil: Any, context: Any, first_process: FirstProcess, callbacks: Sequence["Callback"] = ()
    ) -> None:
        self._work = [ray.put(distil), ray.put(context)]
        self.callbacks = callbacks
        self.submitted = deque[tuple[DistillationJob, Bundle]]()
        """that Tune was not given yet"""
        self.under_way: dict[str, DistillationJob] = {}
        """by the ids of trials"""
        self.starting: dict[str, Bundle] = {}
        """shares of those whose process is not there yet, by the ids of trials"""
        self.told: list[Event | Ended] = []
        """what was heard of trials since somebody took it"""
        self.first_process: FirstProcess | None = first_process
        """for which is waited; None: it is there"""

    def submit(self, job: DistillationJob, share: Bundle) -> None:
        """Queue a job."""
        self.submitted.append((job, share))

    def __len__(self) -> int:
        return len(self.submitted) + len(self.under_way)

    def waiting(self) -> Iterator[Bundle]:
        """The shares of those whose process is not there yet."""
        yield from (share for _, share in self.submitted)
        yield from self.starting.values()

    def take(self) -> list[Event | Ended]:
        """What was heard of trials since the last call, in its order."""
        told, self.told = self.told, []
        return told

    def run(self, turn: Callable[[], object]) -> None:
        """Run what was submitted, and what is submitted meanwhile by `turn`, called many times a second and as soon as
        a trial has ended; to the end of the last one.
        """
        # Tune takes a second to import, for which the first tasks need not wait.
        from glad_ray.engine.on_ray.tune_trials import run_in_tune

        run_in_tune(self, turn, self.callbacks)

    def next_config(self, trial_id: str) -> dict[str, Any]:
        """What Tune is told of the next trial."""
        job, share = self.submitted.popleft()
        self.under_way[trial_id], self.starting[trial_id] = job, share
        report_seconds = max(_REPORT_SECONDS, _REPORT_SECONDS_PER_TRIAL * len(self.under_way))
        # In lists, which Tune does not look into.
        return {
            "name": job.name,
            "job": [job],
            "work": self._work,
            "bundle": placement_bundle(share),
            "report_seconds": report_seconds,
        }
