"""Jobs as Ray tasks, each with its share, watched from one thread."""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError

from glad_ray.engine.jobs import Ended, Job, Outcome
from glad_ray.engine.shares import ray_options
from glad_ray.progress.faults import Fault
from glad_ray.spec import Bundle


# A process serves many tasks (max_calls=0), with a GPU too: importing torch anew takes longer than a short task.
# What is tried again is counted, shown and submitted by the scheduler.
@ray.remote(max_calls=0, max_retries=0)
def _do(carry_out: Callable[[Any, Any], Outcome], job: Any, context: Any) -> Outcome:
    return carry_out(job, context)


class RayTasks:
    """Tasks under way. `carry_out` takes a job and the context, and returns its outcome."""

    def __init__(self, carry_out: Callable[[Any, Any], Outcome], context: Any) -> None:
        self._carry_out, self._context = ray.put(carry_out), ray.put(context)
        self._under_way: dict[ray.ObjectRef[Outcome], Any] = {}

    def submit(self, job: Job, share: Bundle, attempt: int, *, spread: bool = False) -> None:
        """Queue a job for a share; what was tried before, or is to be spread, goes elsewhere if it can."""
        options = ray_options(share, spread or attempt > 0) | {"name": job.label}
        self._under_way[_do.options(**options).remote(self._carry_out, job, self._context)] = job

    def __len__(self) -> int:
        return len(self._under_way)

    def poll(self, timeout_seconds: float) -> list[Ended]:
        """The jobs that have ended, waiting up to `timeout_seconds` for the first."""
        references = list(self._under_way)
        if not references:
            time.sleep(timeout_seconds)
            return []
        if not ray.wait(references, timeout=timeout_seconds)[0]:
            return []
        ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [Ended(self._under_way.pop(each), outcome_of(each)) for each in ready]


def outcome_of(reference: "ray.ObjectRef[Outcome]") -> Outcome:
    """How a task that has ended came to its end; one that was lost has a fault too."""
    try:
        outcome: Outcome = ray.get(reference)
    except RayError as error:
        return Outcome(fault=Fault.of(error))
    return outcome
