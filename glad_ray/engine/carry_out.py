"""What each job does, and the one place where what goes wrong in it becomes a fault."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from glad_ray.distillation import Inputs, Steps, build_space, distillation_steps
from glad_ray.engine.context import JobContext
from glad_ray.engine.jobs import DistillationJob, EvaluationJob, ExpertsJob, Job, LookJob, MeasurementJob, Outcome
from glad_ray.engine.measuring import measure
from glad_ray.engine.shares import Measured
from glad_ray.experts import train_experts
from glad_ray.looks import Looked, take_looks
from glad_ray.progress.events import ExpertEpoch, LookTaken, RunProgressed, TrainingDone
from glad_ray.progress.faults import Fault
from glad_ray.results import Look, Training, clear_failure
from glad_ray.run_evaluation import evaluate_network, finish_run
from glad_ray.set_evaluation import Inputs as EvaluationInputs
from glad_ray.spec import Evaluation, Run
from glad_ray.storage import Storage


class Reached:
    """The last step that a distillation has made here."""

    step: int | None = None


def carry_out(job: Job, context: JobContext) -> Outcome:
    """Do a job; whatever goes wrong is its fault."""
    reached = Reached()
    try:
        return Outcome(perform(job, context, reached))
    except Exception as error:
        return Outcome(fault=Fault.of(error), step=reached.step)


def perform(job: Job, context: JobContext, reached: Reached) -> tuple[Look, ...] | Measured | None:
    """Do a job, and return what it came to; raises what goes wrong."""
    match job:
        case DistillationJob():
            _distil(job, context, reached)
        case ExpertsJob():
            _train(job, context)
        case EvaluationJob():
            _evaluate(job, context)
        case LookJob():
            return _take_looks(job, context)
        case MeasurementJob(of):
            with context.share(job) as device:
                return measure(of, context, device)
        case _:
            raise AssertionError(f"{type(job).__name__} is no job")
    return None


def distil(job: DistillationJob, context: JobContext) -> Steps:
    """The steps of a distillation, with its share for as long as they are made; raises what goes wrong."""
    run = job.run
    clear_failure(context.storage, run.run_id)
    with context.share(job) as device:
        dataset = context.dataset(run)
        generator, experts, where = (
            context.generator(run, device),
            context.trajectories(run.expert_set),
            torch.device(device),
        )
        space = build_space(run, dataset, generator, where, experts)
        inputs = Inputs(run, space, dataset, experts, where)
        yield from distillation_steps(inputs, context.storage, job.until)


def _distil(job: DistillationJob, context: JobContext, reached: Reached) -> None:
    with contextlib.closing(distil(job, context)) as steps:
        ended = None
        with contextlib.suppress(StopIteration):
            while True:
                progress = steps.send(ended)
                reached.step = progress.step
                ended = context.tell(RunProgressed(job.run, progress))


def _train(job: ExpertsJob, context: JobContext) -> None:
    expert_set = job.expert_set

    def epoch_ended(index: int, epoch: int) -> None:
        context.tell(ExpertEpoch(expert_set, index, epoch))

    with context.share(job) as device:
        dataset = context.dataset(expert_set)
        train_experts(expert_set, job.indices, dataset, context.storage, device=device, on_epoch=epoch_ended)


def _evaluate(job: EvaluationJob, context: JobContext) -> None:
    run, evaluation, network = job.run, job.evaluation, job.network

    def training_ended(training: Training) -> bool:
        return context.tell(TrainingDone(run, evaluation.content_id, training))

    with context.time_limit(), context.share(job) as device:
        where = torch.device(device)
        evaluate_network(
            run,
            EvaluationInputs(run.run_id, evaluation, network, context.dataset(run), where),
            context.storage,
            teachers=context.trajectories(evaluation.teachers_of(run)),
            on_training=training_ended,
        )


def _take_looks(job: LookJob, context: JobContext) -> tuple[Look, ...]:
    def training_ended(looked: Looked) -> bool:
        return context.tell(LookTaken(job.run, job.evaluation.content_id, job.network, *looked))

    with context.time_limit(), context.share(job) as device:
        dataset, where = context.dataset(job.run), torch.device(device)
        inputs = EvaluationInputs(job.run.run_id, job.evaluation, job.network, dataset, where)
        return take_looks(job.run, job.steps, job.labels, inputs, context.storage, on_training=training_ended)


class Work(NamedTuple):
    """What carries out jobs; something else in its place makes a simulation."""

    carry_out: Callable[[Any, Any], Outcome]
    """takes a job and its context"""
    distil: Callable[[Any, Any], Steps]
    """takes a `DistillationJob` and its context"""
    finish: Callable[[str, Run, Evaluation, Storage], None]
    """writes the rows of a run that is evaluated, in the driver; takes the sweep's name"""
    with_context: bool = True
    """whether a `JobContext` is the context; otherwise it is the actor that takes events, for which nothing of the
    package need be imported"""


REAL = Work(carry_out, distil, finish_run)
