"""The words for how far a sweep is: the same in its view while it runs, and in its status from elsewhere."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.progress.sweep_progress import SweepProgress
from glad_ray.results import Failure, Progress
from glad_ray.spec.generators import GIB


def counts(sweep_progress: SweepProgress) -> list[str]:
    """Runs, experts and trainings done of all, and what went wrong, each with rich's marks."""
    parts = []
    if sweep_progress.plan.runs:
        parts.append(f"[bold]{len(sweep_progress.finished)}/{len(sweep_progress.plan.runs)}[/] runs")
    if sweep_progress.plan.expert_sets:
        trained = sum(map(sweep_progress.experts, sweep_progress.plan.expert_sets))
        parts.append(
            f"[bold]{trained}/{sum(each.experts.count for each in sweep_progress.plan.expert_sets)}[/] experts"
        )
    if sweep_progress.plan.runs:
        parts.append(f"[bold]{sweep_progress.trainings_done}/{sweep_progress.trainings_total}[/] evaluation trainings")
    if sweep_progress.failed:
        parts.append(f"[red]{len(sweep_progress.failed)} failed[/]")
    if sweep_progress.retries:
        parts.append(f"[yellow]{sweep_progress.retries} retried[/]")
    return parts


def of_steps(progress: Progress) -> str:
    """How far a distillation is."""
    return f"step {progress.step}/{progress.steps}"


def of_loss(progress: Progress) -> str:
    """The matching loss."""
    return f"loss {progress.loss:.4g}"


def of_trainings(done: int, total: int) -> str:
    """How far an evaluation is."""
    return f"evaluation {done}/{total}"


def of_failure(failure: Failure) -> str:
    """Where and why a run failed."""
    where = "" if failure.step is None else f" after step {failure.step}"
    return f"({failure.stage}{where}): {failure.error}"


def spent(budget: str) -> str:
    """That a budget is spent, which is given in words."""
    return f"{budget[:1].upper()}{budget[1:]} are spent"


def of_replica(stats: ReplicaStats) -> str:
    """Which generator a replica holds, and where."""
    return f"generator {stats.generator} on {stats.host}"


def of_requests(stats: ReplicaStats) -> str:
    """How busy a replica is."""
    batches = f" in batches of {stats.requests_per_batch:.1f}" if stats.requests_per_batch else ""
    return f"{stats.requests_per_second:.1f} requests/s{batches}, {stats.waiting} waiting"


def of_memory(stats: ReplicaStats) -> str:
    """The memory of a replica."""
    return f"{stats.memory_bytes / GIB:.1f} GiB"


def left(seconds: float | None) -> str:
    """The time left, if it is known and any is, after a space."""
    return "" if not seconds else f"  about {clock(seconds)} left"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def of_drawn(parameters: Mapping[str, Any]) -> str:
    """What was drawn for a trial of a search: `space f2, learning_rates.f 3.2`."""
    return ", ".join(
        f"{name.removeprefix('algorithm.')} {f'{value:.3g}' if isinstance(value, float) else value}"
        for name, value in parameters.items()
    )


def of_refused(count: int) -> str:
    """How many draws of a search made no run."""
    return "1 draw made no run" if count == 1 else f"{count} draws made no run"
