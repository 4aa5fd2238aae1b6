"""What the first steps of a job take of a GPU, of which nothing is kept."""

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from glad_ray.data import Dataset
from glad_ray.distillation import Inputs, build_space, try_steps
from glad_ray.engine.context import JobContext
from glad_ray.engine.jobs import DistillationJob, EvaluationJob, ExpertsJob
from glad_ray.engine.shares import Measured
from glad_ray.experts import groups, try_expert_epoch
from glad_ray.machine import reset_peak_memory
from glad_ray.networks import build_network, flat_parameters
from glad_ray.set_evaluation import try_epoch
from glad_ray.spec import ExpertSet
from glad_ray.trajectories import Trajectories


def measure(job: ExpertsJob | DistillationJob | EvaluationJob, context: JobContext, device: str) -> Measured | None:
    """Make the first steps of a job; returns what that took of the GPU, None if the device is none."""
    if device == "cpu":
        return None
    where = torch.device(device)
    torch.cuda.empty_cache()
    reset_peak_memory(where)
    free, total = torch.cuda.mem_get_info(where)
    try_job(job, context, where)
    return Measured(torch.cuda.max_memory_reserved(where), free, total, torch.cuda.device_count())


def try_job(job: ExpertsJob | DistillationJob | EvaluationJob, context: JobContext, device: torch.device) -> None:
    """Make the first steps of a job and keep nothing."""
    match job:
        case DistillationJob(run):
            dataset = context.dataset(run)
            experts = None if run.expert_set is None else _Untrained(run.expert_set, dataset)
            space = build_space(run, dataset, context.generator(run, str(device)), device, experts)
            try_steps(Inputs(run, space, dataset, experts, device))
        case EvaluationJob(run, evaluation, network):
            try_epoch(run, evaluation, network, context.dataset(run), device)
        case ExpertsJob(expert_set):
            together = groups(range(expert_set.experts.count), expert_set, context.sweep.resources.experts_together)
            try_expert_epoch(expert_set, together[0], context.dataset(expert_set), device)


class _Untrained(Trajectories):
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

    @override
    def segment(self, expert: int, start_epoch: int, epochs: int) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
        return self._start, 1.01 * self._start

    @override
    def expect(self, expert: int, start_epoch: int, epochs: int) -> None:
        pass
