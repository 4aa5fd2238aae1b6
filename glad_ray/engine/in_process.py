"""The engine without Ray: every unit of work in this process, one after another."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from glad_ray.distill import OnProgress, build_space, distill
from glad_ray.engine.budget import Budget
from glad_ray.engine.units import (
    DataKey,
    Left,
    Stage,
    check_generators,
    check_networks,
    computing_with,
    evaluation_bound,
    fault_of_networks,
    first_fault,
    left_of,
    own_generator,
    raise_unless_recorded,
    record_failure,
    show_begun,
)
from glad_ray.errors import GladRayError, StoppedError
from glad_ray.evaluate import evaluate_network, finish_run, look_at
from glad_ray.experts import ExpertFiles, missing_groups, train_experts
from glad_ray.generators import Generator
from glad_ray.plan import Plan
from glad_ray.progress.events import (
    Ending,
    ExpertEpoch,
    Retried,
    RunDistilled,
    RunFinished,
    RunProgressed,
    TrainingDone,
)
from glad_ray.progress.faults import Fault, attempt
from glad_ray.progress.view import View
from glad_ray.results import Look, Progress, Training, clear_failure
from glad_ray.spec import Evaluation, ExpertSet, GeneratorRecord, Network, Run, Unit
from glad_ray.storage import Storage

if TYPE_CHECKING:
    from glad_ray.engine.study import Stop, Study


def run_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Run what is left of a plan on one device; a run that fails is recorded, and the others go on.

    Returns the budget that ended it before all was done, in words; None: none did. Raises `UserError` before anything
    is started if data is not there, or some network cannot be built; `RunError` if experts fail that are those of no
    run.
    """
    left = _left(plan, storage, view)
    check_networks(plan, left)
    engine = _Engine(plan, left, storage, device, view)
    try:
        engine.run()
    except _SpentError as error:
        return str(error)
    return None


def distill_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> str | None:
    """Distil the one run of a plan, after the experts it needs, with as many threads as PyTorch takes.

    Returns what `run_in_process` does; raises what the run raises, and `UserError` before anything is started if the
    backbone cannot be built.
    """
    left = _left(plan, storage, view)
    check_networks(plan, left, evaluated=False)
    engine = _Engine(plan, left, storage, device, view)
    try:
        engine.distil_alone()
    except StoppedError:
        return engine.budget.spent
    return None


def search_in_process(
    study: "Study", plan: Plan, left: Left, storage: Storage, *, device: str, view: View
) -> str | None:
    """Look at all that a study wants looked at; `plan` and `left` have runs that need what any of its runs needs.

    Returns and raises what `run_in_process` does.
    """
    engine = _Engine(plan, left, storage, device, view)
    try:
        engine.search(study)
    except _SpentError as error:
        return str(error)
    return None


def _left(plan: Plan, storage: Storage, view: View) -> Left:
    left = left_of(plan, storage)
    show_begun(plan, left, storage, view)
    return left


class _SpentError(Exception):
    """A budget is spent; its words."""


class _Engine:
    """One pass over what is left of a plan, or of a search."""

    def __init__(self, plan: Plan, left: Left, storage: Storage, device: str, view: View) -> None:
        self.plan, self.left, self.storage, self.device, self.view = plan, left, storage, device, view
        self.resources = plan.sweep.resources
        self.budget = Budget(self.resources)
        self.budget.taken("this process", 0.0 if device == "cpu" else 1.0)
        self._ending = False
        self._data = {key: key.load(view) for key in self.left.data}
        self._files = check_generators(self.left, shared_on=device, own_on=device)
        self._generators: dict[GeneratorRecord, Generator] = {}

    def _computing(self, unit: Unit, name: str) -> contextlib.AbstractContextManager[None]:
        """Compute with the CPUs that a unit of work takes."""
        return self._computing_with(self.resources.slice_of(unit, name).cpus)

    def _computing_with(self, cpus: float | None) -> contextlib.AbstractContextManager[None]:
        return computing_with(cpus, self.device, deterministic=self.resources.deterministic)

    def run(self) -> None:
        """Everything, in the plan's order; raises `_SpentError` where a budget ends it."""
        faults = {}
        for each in self.left.expert_sets:
            with self._computing("expert", each.network.name):
                if fault := self._attempt(each.label, partial(self._train_experts, each)):
                    faults[each.stored_id] = fault
        raise_unless_recorded(self.plan.sweep, self.left.expert_sets, faults)
        for run in self.left.to_evaluate:
            clear_failure(self.storage, run.run_id)
            if fault := first_fault(run, self.plan.sweep, faults, distilled=True):
                self._record(run, "experts", fault)
            else:
                self._evaluate(run)
        for run in self.left.to_distill:
            clear_failure(self.storage, run.run_id)
            if fault := first_fault(run, self.plan.sweep, faults):
                self._record(run, "experts", fault)
            elif self._distilled(run):
                self._evaluate(run)

    def distil_alone(self) -> None:
        """The distillation of the one run, without its evaluation; raises `StoppedError` where a budget ends it."""
        (run,) = self.plan.runs

        def progressed(progress: Progress) -> bool:
            self.view.show(RunProgressed(run, progress))
            return self._to_end()

        with self._computing_with(None):
            if run.expert_set is not None:
                self._train_experts(run.expert_set)
            if run in self.left.to_distill:
                self._distil(run, progressed)
        self.view.show(RunDistilled(run))

    def search(self, study: "Study") -> None:
        """Everything that a study wants looked at, one after another; raises `_SpentError` where a budget ends it."""
        faults: dict[str, Fault | None] = {}
        while (stop := self._next(study)) is not None:
            experts = None if stop.run.expert_set is None else self.plan.covering(stop.run.expert_set)
            if experts is not None and experts.stored_id not in faults:
                with self._computing("expert", experts.network.name):
                    faults[experts.stored_id] = self._attempt(experts.label, partial(self._train_experts, experts))
            if experts is not None and (fault := faults[experts.stored_id]):
                study.failed(stop, fault)
                continue
            looks: dict[str, Look] = {}
            if fault := self._attempt(stop.label, partial(self._look, stop, looks)):
                study.failed(stop, fault)
            else:
                study.seen(stop, looks)

    def _look(self, stop: "Stop", looks: dict[str, Look]) -> None:
        """Distil a run to where it is looked at, and look."""
        run = stop.run

        def progressed(progress: Progress) -> bool:
            self.view.show(RunProgressed(run, progress))
            return self._to_end()

        with self._computing("trial", run.algorithm.name):
            self._distil(run, progressed, until=stop.step)
        for network in stop.evaluation.networks:
            threads = self._computing("evaluation", network.name)
            with threads, evaluation_bound(self.resources, or_exit=False):
                looks[network.key] = look_at(
                    run,
                    stop.step,
                    stop.evaluation,
                    network,
                    self._data[DataKey.of(run)],
                    self.storage,
                    device=self.device,
                    on_training=self._to_end,
                )

    def _to_end(self) -> bool:
        """Whether a budget is spent, which is shown once."""
        if not self._ending and (spent := self.budget.spent):
            self._ending = True
            self.view.show(Ending(spent))
        return self._ending

    def _next(self, study: "Study") -> "Stop | None":
        self._check_budget()
        return study.next()

    def _check_budget(self) -> None:
        """Raise `_SpentError` if a budget is spent."""
        if self._to_end():
            raise _SpentError(self.budget.spent)

    def _attempt(self, what: str, compute: Callable[[], None], progress: Callable[[], int] = lambda: 0) -> Fault | None:
        """Compute, again where infrastructure is at fault; raises `_SpentError` if it is not to be, or was ended."""
        self._check_budget()
        fault = attempt(compute, lambda error: self.view.show(Retried(what, error)), progress)
        if fault is not None and fault.kind == "stopped":
            raise _SpentError(self.budget.spent)
        return fault

    def _train_experts(self, expert_set: ExpertSet) -> None:
        """Train the experts of a set that are not there yet; raises what an expert raises."""

        def epoch_ended(index: int, epoch: int) -> None:
            self.view.show(ExpertEpoch(expert_set, index, epoch))

        for indices in missing_groups(self.storage, expert_set, self.resources.experts_together):
            if self._to_end():
                raise StoppedError("ended before its time")
            dataset = self._data[DataKey.of(expert_set)]
            train_experts(expert_set, indices, dataset, self.storage, device=self.device, on_epoch=epoch_ended)

    def _distilled(self, run: Run) -> bool:
        """Distil a run and say whether it succeeded; its failure is recorded."""
        step = None

        def progressed(progress: Progress) -> bool:
            nonlocal step
            step = progress.step
            self.view.show(RunProgressed(run, progress))
            return self._to_end()

        with self._computing("trial", run.algorithm.name):
            fault = self._attempt(run.label, partial(self._distil, run, progressed), lambda: step or 0)
        if fault is not None:
            self._record(run, "distill", fault, step)
            return False
        self.view.show(RunDistilled(run))
        return True

    def _distil(self, run: Run, on_progress: OnProgress, until: int | None = None) -> None:
        dataset = self._data[DataKey.of(run)]
        distill(
            run,
            space=build_space(run, dataset, self._generator(run), torch.device(self.device)),
            dataset=dataset,
            trajectories=None if run.expert_set is None else ExpertFiles(self.storage, run.expert_set),
            storage=self.storage,
            device=self.device,
            on_progress=on_progress,
            until=until,
        )

    def _generator(self, run: Run) -> Generator | None:
        """The run's, which the runs after it share unless it learns."""
        if run.generator is None:
            return None
        file = self._files.get(run.generator)
        if run.learn_generator:
            return own_generator(run, self.resources, self.device, file)
        if run.generator not in self._generators:
            self._generators[run.generator] = own_generator(run, self.resources, self.device, file)
        return self._generators[run.generator]

    def _evaluate(self, run: Run) -> None:
        """Score a run with every network and write its results; its failure is recorded."""
        what = f"evaluation of {run.label}"
        pairs = [(each, network) for each in self.plan.sweep.evaluations for network in each.networks]
        ended = [(network, self._attempt(what, partial(self._train, run, each, network))) for each, network in pairs]
        faults = [(network, fault) for network, fault in ended if fault is not None]
        if faults:
            self._record(run, "evaluate", fault_of_networks(faults))
        elif fault := attempt(partial(self._finish, run), lambda error: self.view.show(Retried(what, error))):
            self._record(run, "evaluate", fault)
        else:
            self.view.show(RunFinished(run))

    def _train(self, run: Run, evaluation: Evaluation, network: Network) -> None:
        def training_ended(training: Training) -> bool:
            self.view.show(TrainingDone(run, evaluation.content_id, training))
            return self._to_end()

        teachers = evaluation.teachers_of(run)
        threads = self._computing("evaluation", network.name)
        with threads, evaluation_bound(self.resources, or_exit=False):
            evaluate_network(
                run,
                evaluation,
                network,
                self._data[DataKey.of(run)],
                self.storage,
                teachers=None if teachers is None else ExpertFiles(self.storage, teachers),
                device=self.device,
                on_training=training_ended,
            )

    def _finish(self, run: Run) -> None:
        for evaluation in self.plan.sweep.evaluations:
            finish_run(self.plan.sweep.name, run, evaluation, self.storage)

    def _record(self, run: Run, stage: Stage, fault: Fault, step: int | None = None) -> None:
        """Write down why a run failed; raises `GladRayError` if that cannot be written, again and again."""
        what = f"record of the failure of {run.label}"
        record = partial(record_failure, run, stage, fault, self.storage, self.view, step)
        if unwritten := attempt(record, lambda error: self.view.show(Retried(what, error))):
            raise GladRayError(f"The {what} could not be written: {unwritten.error}.")
