"""A distillation as a Ray task, with the run's share for as long as it computes."""

import time
from typing import Any

import torch

from glad_ray.distill import build_space, distill
from glad_ray.engine.shared import Shared
from glad_ray.progress.events import RunProgressed
from glad_ray.progress.faults import Fault
from glad_ray.results import Progress, clear_failure
from glad_ray.spec import Run

_TELL_SECONDS = 2.0  # every event costs the driver some time


def distil(run: Run, until: int | None, shared: Shared) -> dict[str, Any]:
    """Distil a run, to a step or its end; returns its `fault`, or None, and the last `step` it made here, in types of
    every process.
    """
    step, told = None, time.monotonic()

    def progressed(progress: Progress) -> bool:
        nonlocal step, told
        step = progress.step
        if time.monotonic() - told <= _TELL_SECONDS:
            return False
        ending = shared.tell(RunProgressed(run, progress))
        told = time.monotonic()
        return ending

    try:
        clear_failure(shared.storage, run.run_id)
        with shared.share("trial", run.algorithm.name, run.run_id) as device:
            dataset = shared.dataset(run)
            distill(
                run,
                space=build_space(run, dataset, shared.generator(run, device), torch.device(device)),
                dataset=dataset,
                trajectories=shared.trajectories(run.expert_set),
                storage=shared.storage,
                device=device,
                on_progress=progressed,
                until=until,
            )
    except Exception as error:
        return {"fault": Fault.of(error)._asdict(), "step": step}
    return {"fault": None, "step": step}
