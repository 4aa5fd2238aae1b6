"""The engine without Ray: every unit of work in this process, one after another."""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from glad_ray.data import Dataset
from glad_ray.distill import build_space, distill
from glad_ray.engine.events import ExpertEpoch, Retried, RunDistilled, RunFinished, RunProgressed, TrainingDone
from glad_ray.engine.faults import Fault, attempt
from glad_ray.engine.units import (
    DataKey,
    Stage,
    check_generators,
    check_networks,
    cpu_threads,
    evaluation_bound,
    fault_of_networks,
    first_fault,
    left_of,
    own_generator,
    raise_unless_recorded,
    record_failure,
    show_begun,
)
from glad_ray.engine.view import View
from glad_ray.errors import GladRayError
from glad_ray.evaluate import evaluate_network, finish_run
from glad_ray.experts import ExpertFiles, missing_groups, train_experts
from glad_ray.generators import Generator
from glad_ray.plan import Plan
from glad_ray.results import Progress, Training, clear_failure
from glad_ray.spec import Evaluation, ExpertSet, GeneratorRecord, Network, Resources, Run
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile

STANDARD = Resources()


def run_in_process(plan: Plan, storage: Storage, *, device: str, view: View) -> None:
    """Run what is left of a plan on one device; a run that fails is recorded, and the others go on.

    Raises `UserError` before anything is started if data is not there, or some network cannot be built; `RunError` if
    experts fail that are those of no run.
    """
    left, resources = left_of(plan, storage), plan.sweep.resources
    show_begun(plan, left, storage, view)
    check_networks(plan, left)
    data = {key: key.load(view) for key in left.data}
    files = check_generators(left, shared_on=device, own_on=device)
    faults: dict[ExpertSet, Fault] = {}
    for each in left.expert_sets:
        with cpu_threads(resources.slice_of("expert", each.network.name).cpus):
            train = partial(_train_experts, each, data[DataKey.of(each)], storage, device, view, resources)
            if fault := attempt(train, partial(_retried, view, each.label)):
                faults[each] = fault
    raise_unless_recorded(plan.sweep, faults)
    for run in left.to_evaluate:
        clear_failure(storage, run.run_id)
        if fault := first_fault(run, plan.sweep, faults, distilled=True):
            _record(run, "experts", fault, storage, view)
        else:
            _evaluate(plan, run, data[DataKey.of(run)], storage, device, view)
    generators: dict[GeneratorRecord, Generator] = {}
    for run in left.to_distill:
        clear_failure(storage, run.run_id)
        if fault := first_fault(run, plan.sweep, faults):
            _record(run, "experts", fault, storage, view)
            continue
        generator = _generator(run, plan.sweep.resources, device, files, generators)
        if _distilled(plan, run, data[DataKey.of(run)], generator, storage, device, view):
            _evaluate(plan, run, data[DataKey.of(run)], storage, device, view)


def distill_in_process(
    run: Run, storage: Storage, *, device: str, view: View, resources: Resources = STANDARD, cpus: float | None = None
) -> None:
    """Distil one run, after the experts it needs; None `cpus`: with as many threads as PyTorch takes.

    Raises what the run raises.
    """
    dataset = DataKey.of(run).load(view)
    with cpu_threads(cpus):
        if run.expert_set is not None:
            _train_experts(run.expert_set, dataset, storage, device, view, resources)
        generator = None if run.generator is None else own_generator(run, resources, device)
        _distill(run, dataset, generator, storage, device, lambda progress: view.show(RunProgressed(run, progress)))
    view.show(RunDistilled(run))


def _generator(
    run: Run,
    resources: Resources,
    device: str,
    files: Mapping[GeneratorRecord, GeneratorFile],
    held: dict[GeneratorRecord, Generator],
) -> Generator | None:
    """The run's, which the runs after it share unless it learns."""
    if run.generator is None:
        return None
    if run.learn_generator:
        return own_generator(run, resources, device, files.get(run.generator))
    if run.generator not in held:
        held[run.generator] = own_generator(run, resources, device, files.get(run.generator))
    return held[run.generator]


def _train_experts(
    expert_set: ExpertSet, dataset: Dataset, storage: Storage, device: str, view: View, resources: Resources
) -> None:
    """Train the experts of a set that are not there yet; raises what an expert raises."""

    def epoch_ended(index: int, epoch: int) -> None:
        view.show(ExpertEpoch(expert_set, index, epoch))

    for indices in missing_groups(storage, expert_set, resources.experts_together):
        train_experts(expert_set, indices, dataset, storage, device=device, on_epoch=epoch_ended)


def _distilled(
    plan: Plan, run: Run, dataset: Dataset, generator: Generator | None, storage: Storage, device: str, view: View
) -> bool:
    """Distil a run and say whether it succeeded; its failure is recorded."""
    step = None

    def progressed(progress: Progress) -> None:
        nonlocal step
        step = progress.step
        view.show(RunProgressed(run, progress))

    with cpu_threads(plan.sweep.resources.slice_of("trial", run.algorithm.name).cpus):
        distil = partial(_distill, run, dataset, generator, storage, device, progressed)
        fault = attempt(distil, partial(_retried, view, run.label))
    if fault is not None:
        _record(run, "distill", fault, storage, view, step)
        return False
    view.show(RunDistilled(run))
    return True


def _distill(
    run: Run,
    dataset: Dataset,
    generator: Generator | None,
    storage: Storage,
    device: str,
    on_progress: Callable[[Progress], None],
) -> None:
    distill(
        run,
        space=build_space(run, dataset, generator, torch.device(device)),
        dataset=dataset,
        trajectories=None if run.expert_set is None else ExpertFiles(storage, run.expert_set),
        storage=storage,
        device=device,
        on_progress=on_progress,
    )


def _evaluate(plan: Plan, run: Run, dataset: Dataset, storage: Storage, device: str, view: View) -> None:
    """Score a run with every network and write its results; its failure is recorded."""

    def training_ended(evaluation_id: str, training: Training) -> None:
        view.show(TrainingDone(run, evaluation_id, training))

    def train(evaluation: Evaluation, network: Network) -> None:
        teachers = evaluation.teachers_of(run)
        threads = cpu_threads(plan.sweep.resources.slice_of("evaluation", network.name).cpus)
        with threads, evaluation_bound(plan.sweep.resources, or_exit=False):
            evaluate_network(
                run,
                evaluation,
                network,
                dataset,
                storage,
                teachers=None if teachers is None else ExpertFiles(storage, teachers),
                device=device,
                on_training=partial(training_ended, evaluation.content_id),
            )

    def finish() -> None:
        for evaluation in plan.sweep.evaluations:
            finish_run(plan.sweep.name, run, evaluation, storage)

    retried = partial(_retried, view, f"evaluation of {run.label}")
    networks = [(each, network) for each in plan.sweep.evaluations for network in each.networks]
    ended = [(network, attempt(partial(train, each, network), retried)) for each, network in networks]
    faults = [(network, fault) for network, fault in ended if fault is not None]
    fault = fault_of_networks(faults) if faults else attempt(finish, retried)
    if fault is None:
        view.show(RunFinished(run))
    else:
        _record(run, "evaluate", fault, storage, view)


def _record(run: Run, stage: Stage, fault: Fault, storage: Storage, view: View, step: int | None = None) -> None:
    """Write down why a run failed; raises `GladRayError` if that cannot be written, again and again."""
    what = f"record of the failure of {run.label}"
    record = partial(record_failure, run, stage, fault, storage, view, step)
    if unwritten := attempt(record, partial(_retried, view, what)):
        raise GladRayError(f"The {what} could not be written: {unwritten.error}.")


def _retried(view: View, what: str, error: str) -> None:
    view.show(Retried(what, error))
