"""What is left of a plan: storage alone tells. And how what is there, and what failed, is told."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

from glad_ray.distillation import distilled
from glad_ray.engine.real_images import DataKey
from glad_ray.errors import RunError
from glad_ray.plan import Plan, experts_needed
from glad_ray.plan.machines import units_of
from glad_ray.progress.events import Begun, Retried, RunFailed
from glad_ray.progress.faults import Fault
from glad_ray.progress.taken import looks_taken
from glad_ray.progress.view import View
from glad_ray.results import Failure, completed, damage, missing_experts, sound_trainings, write_failure
from glad_ray.spec import Bundle, ExpertSet, GeneratorRecord, Network, Resources, Run, Sweep, Unit
from glad_ray.spec.experts import merged
from glad_ray.storage import Storage

Stage = Literal["experts", "distill", "evaluate"]

_QUESTIONS_AT_ONCE = 16
# Nothing is computed any more with the set of a finished run, and those of thousands of runs are terabytes.
READ_OF_FINISHED_BYTES = 4 * 2**20


class RemainingWork(NamedTuple):
    """What is left of a plan, in its order."""

    finished: tuple[Run, ...]
    to_distill: tuple[Run, ...]
    to_evaluate: tuple[Run, ...]
    """distilled already"""
    expert_sets: tuple[ExpertSet, ...]
    """needed by these runs, their experts may be there; or those with experts to be trained of a plan without runs"""
    damaged: tuple[tuple[Run, str], ...]
    """those that are set back by a file that is not what was written, and which in a few words"""

    @property
    def data(self) -> set[DataKey]:
        """The real images that it takes."""
        return {
            *map(DataKey.of, self.to_distill),
            *map(DataKey.of, self.to_evaluate),
            *map(DataKey.of, self.expert_sets),
        }

    def units(self, sweep: Sweep) -> set[tuple[Unit, str]]:
        """The kinds of work that it takes, with the names of their algorithms and networks."""
        return units_of(sweep, self.to_distill, self.to_evaluate, self.expert_sets)

    def trial_bundles(self, resources: Resources) -> set[Bundle]:
        """What its distillations take."""
        return {resources.share_of("trial", run.algorithm.name).bundle for run in self.to_distill}

    @property
    def generators(self) -> set[GeneratorRecord]:
        """The image priors of the runs to distil."""
        return {run.generator for run in self.to_distill if run.generator is not None}


def remaining_work(plan: Plan, storage: Storage) -> RemainingWork:
    """What is left of a plan: storage alone tells."""
    # An object store takes its time over each question.
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        found = list(zip(plan.runs, pool.map(partial(_found, storage, plan.sweep), plan.runs), strict=True))
    to_distill = tuple(run for run, (state, _) in found if state == "to distill")
    to_evaluate = tuple(run for run, (state, _) in found if state == "to evaluate")
    # A plan may be of experts alone, without a run that needs them.
    needed = [] if plan.runs else [each for each in plan.expert_sets if missing_experts(storage, each)]
    needed += [each for run in to_distill for each in experts_needed(run, plan.sweep)]
    needed += [each for run in to_evaluate for each in experts_needed(run, plan.sweep, distilled=True)]
    order = {each.stored_id: number for number, each in enumerate(plan.expert_sets)}
    return RemainingWork(
        finished=tuple(run for run, (state, _) in found if state == "finished"),
        to_distill=to_distill,
        to_evaluate=to_evaluate,
        expert_sets=tuple(sorted(merged(needed), key=lambda each: order[each.stored_id])),
        damaged=tuple((run, wrong) for run, (_, wrong) in found if wrong is not None),
    )


def _found(
    storage: Storage, sweep: Sweep, run: Run
) -> tuple[Literal["finished", "to evaluate", "to distill"], str | None]:
    """How far a run is, and in a few words which of its files is not what was written and sets it back."""
    evaluations = [each.content_id for each in sweep.evaluations]
    whole = all(storage.exists(storage.results_path(run.run_id, each)) for each in evaluations)
    if not whole and not storage.exists(storage.distillation_path(run.run_id)):
        return "to distill", None
    # The set of a finished run may have been deleted to save room.
    read_at_most = READ_OF_FINISHED_BYTES if whole else math.inf
    if wrong := damage(storage, run.run_id, "distilled", missing=not whole, read_at_most=read_at_most):
        return "to distill", wrong
    if whole:
        wrong = next(filter(None, (damage(storage, run.run_id, completed(each)) for each in evaluations)), None)
        if wrong is None:
            return "finished", None
        return "to evaluate" if distilled(storage, run) else "to distill", wrong
    trained = (
        sound_trainings(storage, run.run_id, each.content_id, network.key)
        for each in sweep.evaluations
        for network in each.networks
    )
    return "to evaluate", next((wrong for _, wrong in trained if wrong is not None), None)


def show_begun(plan: Plan, remaining: RemainingWork, storage: Storage, view: View) -> None:
    """Show what lies on storage already, and what of it is made again because it is damaged."""
    begun = Begun(
        finished=remaining.finished,
        distilled=remaining.to_evaluate,
        trainings=tuple(
            (run, evaluation.content_id, training)
            for run in remaining.to_evaluate
            for evaluation in plan.sweep.evaluations
            for network in evaluation.networks
            for training in sound_trainings(storage, run.run_id, evaluation.content_id, network.key)[0]
        ),
        looks=tuple(
            look
            for run in remaining.to_evaluate
            for evaluation in plan.sweep.evaluations
            for look in looks_taken(storage, run, evaluation)
        ),
        experts={each.stored_id: each.experts.count - len(missing_experts(storage, each)) for each in plan.expert_sets},
    )
    view.show(begun)
    for run, wrong in remaining.damaged:
        view.show(Retried(run.label, wrong))


def fault_of_networks(faults: Sequence[tuple[Network, Fault]]) -> Fault:
    """What went wrong in the evaluation of a run, with the networks it went wrong with; what others scored is kept."""
    named = [f"{network.title}: {fault.error}" for network, fault in faults]
    return Fault("; ".join(named), "\n".join(fault.traceback for _, fault in faults))


def raise_unless_recorded(sweep: Sweep, expert_sets: Iterable[ExpertSet], faults: Mapping[str, Fault]) -> None:
    """Raise `RunError` for experts that failed, unless there are runs, which fail with them and say so; `faults` are by
    the ids of expert sets.
    """
    wrong = [(each, faults[each.stored_id]) for each in expert_sets if each.stored_id in faults]
    said = [f"{expert_set.label}: {fault.error}" for expert_set, fault in wrong]
    if said and not sweep.runs:
        raise RunError("; ".join(said))


def record_failure(run: Run, stage: Stage, fault: Fault, storage: Storage, view: View, step: int | None = None) -> None:
    """Write down why a run failed, and show it; `step` is how far it came."""
    failure = Failure(run_id=run.run_id, stage=stage, error=fault.error, traceback=fault.traceback, step=step)
    write_failure(storage, failure)
    view.show(RunFailed(run, failure))
