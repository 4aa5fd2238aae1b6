"""A look of a search as a Ray task: one network trained on a run's set after some steps, with a share of its own."""

import ray

from glad_ray.engine.shared import Shared
from glad_ray.engine.units import evaluation_bound
from glad_ray.evaluate import look_at
from glad_ray.progress.faults import Fault
from glad_ray.results import Look
from glad_ray.spec import Evaluation, Network, Run


def look_key(run: Run, step: int, evaluation: Evaluation, network: Network) -> tuple[str, ...]:
    """Which look it is, among units of work."""
    return run.run_id, str(step), evaluation.content_id, network.key


@ray.remote(max_calls=0, max_retries=0)
def look_task(run: Run, step: int, evaluation: Evaluation, network: Network, shared: Shared) -> Look | Fault:
    """See `look_at`."""
    which = look_key(run, step, evaluation, network)
    try:
        bound = evaluation_bound(shared.sweep.resources, or_exit=True)
        with bound, shared.share("evaluation", network.name, *which) as device:
            return look_at(
                run,
                step,
                evaluation,
                network,
                shared.dataset(run),
                shared.storage,
                device=device,
                on_training=lambda: False,
            )
    except Exception as error:
        return Fault.of(error)
