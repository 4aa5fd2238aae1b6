"""What both engines do around a unit of work, so that the same plan gives the same numbers in either.

A unit is an expert, a distillation, or the evaluation of a run with one network. Each reads and writes through
`Storage` and is a no-op where its result lies there already.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple

import torch

from glad_ray.data import Dataset, load_dataset
from glad_ray.data.prepare import Decode, decode_here
from glad_ray.distill import distilled
from glad_ray.engine.process_state import restored
from glad_ray.errors import RunError
from glad_ray.generators import Generator, build_generator, check_generator, read_file
from glad_ray.interrupts import within
from glad_ray.machine import compute_deterministically, current_device, keep_freed_memory
from glad_ray.networks import check_network
from glad_ray.plan import Plan, experts_needed
from glad_ray.plan.machines import units_of
from glad_ray.progress.events import Begun, ImagesPrepared, Retried, RunFailed
from glad_ray.progress.faults import Fault
from glad_ray.progress.view import View
from glad_ray.results import Failure, completed, damage, missing_experts, sound_trainings, write_failure
from glad_ray.spec import (
    DC,
    DM,
    MTT,
    DatasetFacts,
    ExpertSet,
    GeneratorRecord,
    Network,
    Resources,
    Run,
    Slice,
    Sweep,
    Unit,
    dataset_facts,
)
from glad_ray.spec.experts import merged
from glad_ray.spec.whitening import Whitening
from glad_ray.storage import Storage
from glad_ray.stylegan.files import GeneratorFile

Stage = Literal["experts", "distill", "evaluate"]

_QUESTIONS_AT_ONCE = 16
# Nothing is computed any more with the set of a finished run, and those of thousands of runs are terabytes.
READ_OF_FINISHED_BYTES = 4 * 2**20


class DataKey(NamedTuple):
    """Which real images: equal keys share them."""

    dataset: str
    resolution: int
    antialias: bool
    held_out: int
    whitening: Whitening = "none"

    @classmethod
    def of(cls, of: Run | ExpertSet) -> "DataKey":
        """The images that a run or a set of experts sees."""
        side = of.pixels if isinstance(of, Run) else of.resolution
        return cls(of.dataset, side, of.antialias, of.held_out, of.whitening)

    def load(self, view: View, decode: Decode = decode_here) -> Dataset:
        """Read them, after they are prepared, which is shown; raises `UserError` if they are not there."""

        def progressed(done: int, total: int) -> None:
            view.show(ImagesPrepared(f"{self.dataset} {self.resolution}px", done, total))

        return load_dataset(
            self.dataset,
            resolution=self.resolution,
            antialias=self.antialias,
            whitening=self.whitening,
            held_out=self.held_out,
            decode=decode,
            on_progress=progressed,
        )


def evaluation_bound(resources: Resources, *, or_exit: bool) -> contextlib.AbstractContextManager[None]:
    """The time that an evaluation with one network may take; see `within`."""
    return within(resources.evaluation_timeout_minutes, "resources.evaluation_timeout_minutes", or_exit=or_exit)


class Left(NamedTuple):
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

    def trial_slices(self, resources: Resources) -> set[Slice]:
        """What its distillations take."""
        return {resources.slice_of("trial", run.algorithm.name) for run in self.to_distill}

    @property
    def generators(self) -> set[GeneratorRecord]:
        """The image priors of the runs to distil."""
        return {run.generator for run in self.to_distill if run.generator is not None}


def left_of(plan: Plan, storage: Storage) -> Left:
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
    return Left(
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


def check_networks(plan: Plan, left: Left, *, evaluated: bool = True) -> None:
    """Raise the `UserError` that building some network of what is left, or training it, would meet.

    `evaluated`: its evaluations belong to it too.
    """
    needed: dict[tuple[Network, DatasetFacts, int, int], None] = {}
    for run in (*left.to_distill, *left.to_evaluate):
        facts, size = run.facts, _set_size(run)
        needed[run.backbone, facts, run.pixels, min(_smallest_batch(run), 2)] = None
        for evaluation in plan.sweep.evaluations if evaluated else ():
            for network in evaluation.networks:
                needed[network, facts, run.pixels, min(size, evaluation.batch_size, 2)] = None
    for each in left.expert_sets:
        facts = dataset_facts(each.dataset)
        images = facts.train_images - each.held_out * facts.classes
        needed[each.network, facts, each.resolution, min(images, each.experts.batch_size, 2)] = None
    with restored():
        for network, facts, resolution, smallest_batch in needed:
            check_network(
                network,
                channels=facts.channels,
                resolution=resolution,
                classes=facts.classes,
                smallest_batch=smallest_batch,
            )


def _smallest_batch(run: Run) -> int:
    """Fewest images that the backbone is given at once; a baseline trains none."""
    if not isinstance(run.algorithm, DC | DM | MTT):
        return 2
    return run.algorithm.smallest_batch(run.images_per_class, run.facts.classes)


def _set_size(run: Run) -> int:
    """Images that the networks of a run's evaluation are trained on."""
    if run.ipc is None:
        return run.facts.train_images - run.held_out * run.facts.classes
    return run.facts.classes * run.ipc


def show_begun(plan: Plan, left: Left, storage: Storage, view: View) -> None:
    """Show what lies on storage already, and what of it is made again because it is damaged."""
    begun = Begun(
        finished=left.finished,
        distilled=left.to_evaluate,
        trainings=tuple(
            (run, evaluation.content_id, training)
            for run in left.to_evaluate
            for evaluation in plan.sweep.evaluations
            for network in evaluation.networks
            for training in sound_trainings(storage, run.run_id, evaluation.content_id, network.key)[0]
        ),
        experts={each.stored_id: each.experts.count - len(missing_experts(storage, each)) for each in plan.expert_sets},
    )
    view.show(begun)
    for run, wrong in left.damaged:
        view.show(Retried(run.label, wrong))


def check_generators(left: Left, *, shared_on: str, own_on: str) -> dict[GeneratorRecord, GeneratorFile]:
    """Raise the `UserError` that building some generator of what is left would meet, on the devices where runs share
    them and have their own; returns the weights of trained ones.
    """
    for run in left.to_distill:
        if run.generator is not None:
            check_generator(run.generator, own_on if run.learn_generator else shared_on)
    files = {record: read_file(record) for record in left.generators}
    return {record: file for record, file in files.items() if file is not None}


def own_generator(run: Run, resources: Resources, device: str, file: GeneratorFile | None = None) -> Generator:
    """A run's generator for itself alone, in this process."""
    assert run.generator is not None, "runs in pixel space have none"
    return build_generator(
        run.generator,
        device=device,
        memory_gib=resources.generator_memory_gib,
        keep_graph=True,
        learn=run.learn_generator,
        file=file,
    )


@contextlib.contextmanager
def computing_with(cpus: float | None, device: str = "cpu", *, deterministic: bool = False) -> Iterator[None]:
    """Compute on a device with as many threads as whole CPUs, None: as many as there are; and give back the process as
    it was. `deterministic`: see `Resources.deterministic`.

    The allocator keeps what is freed from then on.

    The number of threads decides the order of sums, so both engines set it alike.
    """
    keep_freed_memory()
    with restored(), current_device(torch.device(device)):
        if cpus is not None:
            torch.set_num_threads(max(1, int(cpus)))
        if deterministic and device != "cpu":
            compute_deterministically()
        yield


def fault_of_networks(faults: Sequence[tuple[Network, Fault]]) -> Fault:
    """What went wrong in the evaluation of a run, with the networks it went wrong with; what others scored is kept.

    Nothing, if one of them was stopped: the run is not at its end.
    """
    if stopped := next((fault for _, fault in faults if fault.kind == "stopped"), None):
        return stopped
    named = [f"{network.title}: {fault.error}" for network, fault in faults]
    return Fault("; ".join(named), "\n".join(fault.traceback for _, fault in faults))


def first_fault(run: Run, sweep: Sweep, faults: Mapping[str, Fault], distilled: bool = False) -> Fault | None:
    """What went wrong with the experts that a run needs, if something did; `faults` are by the ids of expert sets."""
    needed = (each.stored_id for each in experts_needed(run, sweep, distilled))
    return next((faults[each] for each in needed if each in faults), None)


def raise_unless_recorded(sweep: Sweep, expert_sets: Iterable[ExpertSet], faults: Mapping[str, Fault]) -> None:
    """Raise `RunError` for experts that failed, unless there are runs, which fail with them and say so; `faults` are by
    the ids of expert sets.
    """
    wrong = [(each, faults[each.stored_id]) for each in expert_sets if each.stored_id in faults]
    said = [f"{expert_set.label}: {fault.error}" for expert_set, fault in wrong if fault.kind != "stopped"]
    if said and not sweep.runs:
        raise RunError("; ".join(said))


def record_failure(run: Run, stage: Stage, fault: Fault, storage: Storage, view: View, step: int | None = None) -> None:
    """Write down why a run failed, and show it; `step` is how far it came."""
    failure = Failure(run_id=run.run_id, stage=stage, error=fault.error, traceback=fault.traceback, step=step)
    write_failure(storage, failure)
    view.show(RunFailed(run, failure))
