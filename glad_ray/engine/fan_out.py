"""What runs as Ray tasks, each with a share of its own: experts, and an evaluation a task per network."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import ray

from glad_ray.engine.budget import Budget
from glad_ray.engine.looking import look_key, look_task
from glad_ray.engine.packing import measure_task
from glad_ray.engine.shared import Shared
from glad_ray.engine.shares import Kind, Shares, ray_options
from glad_ray.engine.tasks import Tasks
from glad_ray.engine.trials import distil_task
from glad_ray.engine.units import evaluation_bound
from glad_ray.evaluate import evaluate_network, finish_run
from glad_ray.experts import missing_groups, train_experts
from glad_ray.progress.events import ExpertEpoch, TrainingDone
from glad_ray.progress.faults import Fault
from glad_ray.results import Look, Training
from glad_ray.spec import Evaluation, ExpertSet, Network, Run
from glad_ray.storage import Storage

Ended = Callable[[Fault | None], None]
"""Takes what went wrong, if something did."""

Looked = Callable[[Look | Fault], None]
"""Takes what a look saw, or what went wrong."""


class Work(NamedTuple):
    """The tasks that units of work are; others in their place make a simulation."""

    experts: Any
    distillation: Any
    evaluation: Any
    finish: Callable[[str, Run, Evaluation, Storage], None]
    """writes the rows of a run that is evaluated, in the driver"""
    look: Any = look_task
    """of a search, at a run under way"""
    measurement: Any = measure_task
    """of what a unit takes of a GPU, where that is to be measured"""


class FanOut:
    """Submits tasks; `shared` is sent once, not with every task. `progress` has how far each unit of work is."""

    def __init__(
        self,
        tasks: Tasks,
        shared: Shared,
        shares: Shares,
        budget: Budget,
        work: Work,
        progress: Mapping[tuple[str, ...], int],
    ) -> None:
        self.tasks, self.shared, self.shares, self.budget, self.work = tasks, shared, shares, budget, work
        self._progress, self._reference = progress, ray.put(shared)

    def experts(self, expert_set: ExpertSet, ended: Ended) -> int:
        """Train those experts of a set that are missing; returns the number of tasks, `ended` is called for each."""
        groups = missing_groups(self.shared.storage, expert_set, self.shared.sweep.resources.experts_together)
        for indices in groups:
            what = f"expert {', '.join(map(str, indices))} of {expert_set.label}"
            key = _expert_key(expert_set, indices)
            self._submit(what, Kind.of_experts(expert_set), key, self.work.experts, (expert_set, indices), ended)
        return len(groups)

    def evaluation(self, run: Run, ended: Callable[[Network, Fault | None], None]) -> int:
        """Evaluate a distilled run with every network; returns their number, `ended` is called for each."""
        pairs = [(each, network) for each in self.shared.sweep.evaluations for network in each.networks]
        for evaluation, network in pairs:
            what = f"evaluation of {run.label} with {network.title}"
            key, arguments = _evaluation_key(run, evaluation, network), (run, evaluation, network)
            self._submit(
                what,
                Kind.of_evaluation(run, evaluation, network),
                key,
                self.work.evaluation,
                arguments,
                partial(ended, network),
            )
        return len(pairs)

    def look(self, run: Run, step: int, evaluation: Evaluation, network: Network, ended: Looked) -> None:
        """Look at a run after some steps; `ended` gets what was seen, or what went wrong."""
        arguments = (run, step, evaluation, network)
        what = f"look at {run.label} with {network.title}"
        key, kind = look_key(*arguments), Kind.of_evaluation(run, evaluation, network)
        self._submit(what, kind, key, self.work.look, arguments, ended)

    def _submit(
        self,
        what: str,
        kind: Kind,
        which: tuple[str, ...],
        task: Any,
        arguments: tuple[Any, ...],
        ended: Callable[[Any], None],
    ) -> None:
        had = self.shares.of(kind)

        def start(tries: int) -> ray.ObjectRef[Any]:
            nonlocal had
            had = self.shares.of(kind)
            started: ray.ObjectRef[Any] = task.options(**ray_options(had, tries)).remote(*arguments, self._reference)
            return started

        def grow() -> bool:
            return self.shares.grow(kind, had)

        def lost(error: Exception, fault: Fault) -> None:
            self.budget.lost((kind.unit, *which))
            ended(fault)

        def progress() -> int:
            return self._progress.get((kind.unit, *which), 0)

        self.tasks.submit(what, start, ended, lost, grow, progress)


def _expert_key(expert_set: ExpertSet, indices: list[int]) -> tuple[str, ...]:
    return expert_set.stored_id, *map(str, indices)


def _evaluation_key(run: Run, evaluation: Evaluation, network: Network) -> tuple[str, ...]:
    return run.run_id, evaluation.content_id, network.key


# A process serves many tasks (max_calls=0), with a GPU too: importing torch anew takes longer than a short task.
# What is tried again is counted, shown and submitted by `Tasks`.
@ray.remote(max_calls=0, max_retries=0)
def _experts(expert_set: ExpertSet, indices: list[int], shared: Shared) -> Fault | None:
    def epoch_ended(index: int, epoch: int) -> None:
        shared.tell(ExpertEpoch(expert_set, index, epoch))

    try:
        with shared.share("expert", expert_set.network.name, *_expert_key(expert_set, indices)) as device:
            dataset = shared.dataset(expert_set)
            train_experts(expert_set, indices, dataset, shared.storage, device=device, on_epoch=epoch_ended)
    except Exception as error:
        return Fault.of(error)
    return None


@ray.remote(max_calls=0, max_retries=0)
def _evaluation(run: Run, evaluation: Evaluation, network: Network, shared: Shared) -> Fault | None:
    def training_ended(training: Training) -> bool:
        return shared.tell(TrainingDone(run, evaluation.content_id, training))

    which = _evaluation_key(run, evaluation, network)
    try:
        bound = evaluation_bound(shared.sweep.resources, or_exit=True)
        with bound, shared.share("evaluation", network.name, *which) as device:
            evaluate_network(
                run,
                evaluation,
                network,
                shared.dataset(run),
                shared.storage,
                teachers=shared.trajectories(evaluation.teachers_of(run)),
                device=device,
                on_training=training_ended,
            )
    except Exception as error:
        return Fault.of(error)
    return None


REAL = Work(_experts, distil_task, _evaluation, finish_run)
