"""The units of work of the engine, as records that any process can read.

Each reads and writes through storage and is a no-op where its result lies there. What each does is in carry_out.py;
nothing here imports PyTorch or Ray.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from typing_extensions import override

from glad_ray.progress.faults import Fault
from glad_ray.spec import Evaluation, ExpertSet, Labels, Network, Run, Unit

_NOT_OF_MEMORY = ("learning_rates", "iterations", "step_size", "step_size_lr")

Key = tuple[str, ...]
"""Which job it is, in a sweep or search."""


class WorkClass(NamedTuple):
    """Jobs that take as much memory as one another."""

    unit: Unit
    name: str
    """of the algorithm (a distillation) or network (the others)"""
    title: str
    like: tuple[Any, ...] = ()
    """what decides on its memory, as hashable values"""

    @classmethod
    def of_distillation(cls, run: Run) -> "WorkClass":
        """Distillations of runs that differ only in learning rates, numbers of steps and seeds."""
        algorithm = json.dumps(run.algorithm.model_dump(mode="json", exclude=set(_NOT_OF_MEMORY)), sort_keys=True)
        like = (run.dataset, run.pixels, _images(run), run.space, run.generator, run.learn_generator, run.backbone)
        title = f"{run.algorithm.name} {run.space} {run.dataset} {run.pixels}px ipc {run.ipc}"
        return cls("trial", run.algorithm.name, title, (*like, run.augmentation, algorithm))

    @classmethod
    def of_evaluation(cls, run: Run, evaluation: Evaluation, network: Network) -> "WorkClass":
        """Trainings of a network on as many images."""
        title = f"evaluation with {network.title}, {run.dataset} {run.pixels}px ipc {run.ipc}"
        like = (network, run.dataset, run.pixels, _images(run)[1], evaluation.batch_size)
        return cls("evaluation", network.name, title, like)

    @classmethod
    def of_experts(cls, expert_set: ExpertSet) -> "WorkClass":
        """Experts of a set."""
        return cls("expert", expert_set.network.name, f"training of {expert_set.label}", (expert_set.stored_id,))


def _images(run: Run) -> tuple[int | None, int | None]:
    """Images per class that are kept, and that networks are trained on; None: of the whole dataset, all."""
    return run.ipc, None if run.ipc is None else run.training_images_per_class


class Job(Protocol):
    """A unit of work with a share of a machine."""

    @property
    def label(self) -> str:
        """What it is, for people."""

    @property
    def key(self) -> Key:
        """Which one it is; two jobs with equal keys are the same job."""

    @property
    def work_class(self) -> WorkClass:
        """What its share depends on."""


@dataclass(frozen=True)
class ExpertsJob(Job):
    """The training of some experts of a set, as one batched ensemble if they are several."""

    expert_set: ExpertSet
    indices: tuple[int, ...]

    @property
    @override
    def label(self) -> str:
        return f"expert {', '.join(map(str, self.indices))} of {self.expert_set.label}"

    @property
    @override
    def key(self) -> Key:
        return "expert", self.expert_set.stored_id, *map(str, self.indices)

    @cached_property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass.of_experts(self.expert_set)


@dataclass(frozen=True)
class DistillationJob(Job):
    """The distillation of a run, to its end or to a step."""

    run: Run
    until: int | None = None

    @property
    @override
    def label(self) -> str:
        return self.run.label

    @property
    @override
    def key(self) -> Key:
        return "trial", self.run.run_id

    @property
    def name(self) -> str:
        """The run's id, and the step."""
        return self.run.run_id if self.until is None else f"{self.run.run_id}-{self.until}"

    @cached_property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass.of_distillation(self.run)


@dataclass(frozen=True)
class EvaluationJob(Job):
    """The evaluation of a distilled run with one network."""

    run: Run
    evaluation: Evaluation
    network: Network

    @property
    @override
    def label(self) -> str:
        return f"evaluation of {self.run.label} with {self.network.title}"

    @property
    @override
    def key(self) -> Key:
        return "evaluation", self.run.run_id, self.evaluation.content_id, self.network.key

    @cached_property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass.of_evaluation(self.run, self.evaluation, self.network)


@dataclass(frozen=True)
class LookJob(Job):
    """Looks at a run after some steps, with one network, on held-out training images."""

    run: Run
    steps: tuple[int, ...]
    labels: Labels
    """of the sets: hard, or their own"""
    evaluation: Evaluation
    network: Network

    @property
    @override
    def label(self) -> str:
        after = ", ".join(map(str, self.steps))
        return f"look at {self.run.label} after step {after} with {self.network.title}"

    @property
    @override
    def key(self) -> Key:
        return "look", self.run.run_id, self.evaluation.content_id, self.network.key

    @cached_property
    @override
    def work_class(self) -> WorkClass:
        return WorkClass.of_evaluation(self.run, self.evaluation, self.network)


@dataclass(frozen=True)
class MeasurementJob(Job):
    """The first steps of another job, for what they take of a GPU."""

    of: ExpertsJob | DistillationJob | EvaluationJob

    @property
    @override
    def label(self) -> str:
        return f"measurement of {self.work_class.title}"

    @property
    @override
    def key(self) -> Key:
        return "measurement", *self.of.key

    @property
    @override
    def work_class(self) -> WorkClass:
        return self.of.work_class


@dataclass(frozen=True)
class DriverJob:
    """What the driver does itself, without a share: results are written, or why a run failed."""

    label: str
    key: Key
    call: Callable[[], object]


class Outcome(NamedTuple):
    """How a job ended."""

    value: Any = None
    """what it came to"""
    fault: Fault | None = None
    step: int | None = None
    """the last that a distillation made"""


NOT_BEGUN = Fault("not begun: work is to end", "", "stopped")
"""of jobs where everything ends"""


class Ended(NamedTuple):
    """A job that has ended, and how."""

    job: Any
    outcome: Outcome
