"""What a plan costs altogether: its runs, and the experts that they share."""

from collections.abc import Sequence
from dataclasses import dataclass

from glad_ray.plan.cost import GIGAFLOPS_PER_GPU, estimate, expert_flops, seconds
from glad_ray.plan.plan import experts_needed
from glad_ray.plan.whitening import fits
from glad_ray.spec import Run, Sweep
from glad_ray.spec.experts import merged


@dataclass(frozen=True, kw_only=True)
class Total:
    """Floating-point operations and bytes of some runs of a sweep, with the experts they need."""

    run_flops: float
    """all distillations and evaluations"""
    expert_flops: float
    expert_bytes: int
    whitening_flops: float = 0.0
    """what is fitted once to whiten images"""

    @property
    def flops(self) -> float:
        """All operations."""
        return self.run_flops + self.expert_flops + self.whitening_flops

    @property
    def gpu_hours(self) -> float:
        """Hours of all operations on a GPU that sustains `GIGAFLOPS_PER_GPU`."""
        return _gpu_hours(self.flops)

    @property
    def expert_gpu_hours(self) -> float:
        """Those of them that train experts."""
        return _gpu_hours(self.expert_flops)


def total(runs: Sequence[Run], sweep: Sweep) -> Total:
    """The cost of runs of a sweep, every set of experts counted once."""
    costs = [estimate(run, sweep.evaluations) for run in runs]
    expert_sets = merged(expert_set for run in runs for expert_set in experts_needed(run, sweep))
    return Total(
        run_flops=sum(cost.distill_flops + cost.evaluate_flops for cost in costs),
        expert_flops=sum(map(expert_flops, expert_sets)),
        expert_bytes=sum(each.kept_bytes for each in expert_sets),
        whitening_flops=sum(fit.flops for fit in fits(runs, expert_sets)),
    )


def _gpu_hours(flops: float) -> float:
    return seconds(flops, GIGAFLOPS_PER_GPU) / 3600
