"""How many units of work a GPU holds: before a sweep begins, their first steps are made there and measured.

Every kind is measured once, on a GPU of its own. Nothing of it is kept, and a unit that lacks memory in spite of it is
given more (`Shares.grow`).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import ray
import torch
from jaxtyping import Float
from torch import Tensor

from glad_ray.data import Dataset
from glad_ray.distill import build_space, try_steps
from glad_ray.engine.shared import Shared
from glad_ray.engine.shares import Kind, Measured, Shares, ray_options
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.units import Left
from glad_ray.evaluate import try_epoch
from glad_ray.experts import groups, try_expert_epoch
from glad_ray.machine import reset_peak_memory
from glad_ray.networks import build_network, flat_parameters
from glad_ray.progress.events import SharePacked
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.spec import Evaluation, ExpertSet, Network, Run, Slice, Sweep

_POLL_SECONDS = 0.25


def pack(left: Left, shared: Shared, shares: Shares, tasks: Tasks, view: View, task: Any) -> None:
    """Measure every kind of unit that is left and whose share is to be measured, by the task `task`; to the end."""
    reference, found = ray.put(shared), dict[Kind, Measured]()
    for kind, example in dict(_examples(left, shared.sweep)).items():
        if shares.resources.measured(kind.unit, kind.name):
            start = partial(_start, task, shares.of(kind), kind, example, reference)
            ended = partial(_measured, kind, found, view)
            tasks.submit(f"measuring {kind.title}", start, ended, partial(_lost, kind, view))
    while len(tasks):
        tasks.poll(_POLL_SECONDS)
    for kind, at_once in shares.pack(found).items():
        view.show(SharePacked(kind.title, found[kind].bytes, at_once))


def _examples(left: Left, sweep: Sweep) -> Iterator[tuple[Kind, tuple[Any, ...]]]:
    """A unit of work of every kind, some several times."""
    for run in left.to_distill:
        yield Kind.of_trial(run), (run,)
    for run in (*left.to_distill, *left.to_evaluate):
        for evaluation in sweep.evaluations:
            for network in evaluation.networks:
                yield Kind.of_evaluation(run, evaluation, network), (run, evaluation, network)
    for each in left.expert_sets:
        yield Kind.of_experts(each), (each,)


def _start(
    task: Any, share: Slice, kind: Kind, example: tuple[Any, ...], shared: ray.ObjectRef[Any], tries: int
) -> ray.ObjectRef[Any]:
    started: ray.ObjectRef[Any] = task.options(**ray_options(share, tries)).remote(kind, example, shared)
    return started


def _measured(kind: Kind, found: dict[Kind, Measured], view: View, outcome: Measured | Fault | None) -> None:
    if isinstance(outcome, Measured):
        found[kind] = outcome
    else:
        _unmeasured(kind, view, outcome)


def _lost(kind: Kind, view: View, error: Exception, fault: Fault) -> None:
    _unmeasured(kind, view, fault)


def _unmeasured(kind: Kind, view: View, fault: Fault | None) -> None:
    view.show(SharePacked(kind.title, None, 1, "GPUs are only counted" if fault is None else fault.error))


@ray.remote(max_calls=0, max_retries=0)
def measure_task(kind: Kind, example: tuple[Any, ...], shared: Shared) -> Measured | Fault | None:
    """Make the first steps of a unit of work; returns what that took of a GPU, None if there is none."""
    try:
        with shared.computing(kind.unit, kind.name) as device:
            if device == "cpu":
                return None
            where = torch.device(device)
            torch.cuda.empty_cache()
            reset_peak_memory(where)
            free, total = torch.cuda.mem_get_info(where)
            try_unit(example, shared, where)
            return Measured(torch.cuda.max_memory_reserved(where), free, total, torch.cuda.device_count())
    except Exception as error:
        return Fault.of(error)


def try_unit(example: tuple[Any, ...], shared: Shared, device: torch.device) -> None:
    """Make the first steps of a distillation (a run), of an evaluation (and its evaluation and network) or of experts
    (a set), and keep nothing.
    """
    match example:
        case (Run() as run,):
            dataset = shared.dataset(run)
            try_steps(
                run,
                space=build_space(run, dataset, shared.generator(run, str(device)), device),
                dataset=dataset,
                trajectories=None if run.expert_set is None else _Untrained(run.expert_set, dataset),
                device=device,
            )
        case (Run() as run, Evaluation() as evaluation, Network() as network):
            try_epoch(run, evaluation, network, shared.dataset(run), device)
        case (ExpertSet() as expert_set,):
            together = groups(range(expert_set.experts.count), expert_set, shared.sweep.resources.experts_together)
            try_expert_epoch(expert_set, together[0], shared.dataset(expert_set), device)


class _Untrained:
    """`Trajectories` of experts that may not be there yet: new networks in their place."""

    def __init__(self, expert_set: ExpertSet, dataset: Dataset) -> None:
        self.expert_set = expert_set
        network = build_network(
            expert_set.network,
            channels=dataset.train_images.shape[1],
            resolution=dataset.train_images.shape[-1],
            classes=len(dataset.class_names),
            rng=torch.Generator().manual_seed(0),
        )
        self._start = flat_parameters(network).detach()

    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        """See `Trajectories.segment`."""
        return self._start, 1.01 * self._start

    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        """See `Trajectories.expect`."""
