"""A named list of runs, how to evaluate them, and what resources each takes."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainValidator, field_validator, model_validator

from glad_ray.errors import UserError, unknown
from glad_ray.spec.algorithm import ALGORITHM_NAMES
from glad_ray.spec.experts import Experts, ExpertSet, check_judges
from glad_ray.spec.foreign_set import ForeignSet
from glad_ray.spec.network import NETWORK_NAMES, Network, NetworkByName
from glad_ray.spec.precision import FP32Precision
from glad_ray.spec.record import Record
from glad_ray.spec.run import Run

Selection = Literal["last", "held-out", "best-on-test"]
Labels = Literal["hard", "own", "teacher"]
Unit = Literal["trial", "evaluation", "expert"]

# Base learning rates of the paper's code (config.json of the golden data): 1e-3, VGG11 1e-4.
PAPER_LEARNING_RATES = {"convnet": 1e-3, "alexnet": 1e-3, "vgg11": 1e-4, "resnet18": 1e-3, "vit": 1e-3}

FOREIGN_LEARNING_RATE = 1e-3


class Evaluation(Record):
    """How a synthetic set is scored: networks trained on it from scratch, tested on real images (section 4.1)."""

    networks: tuple[NetworkByName, ...] = (
        Network(name="convnet"),
        Network(name="alexnet"),
        Network(name="vgg11"),
        Network(name="resnet18"),
        Network(name="vit"),
    )
    repeats: int = Field(default=5, ge=1)
    """networks trained per architecture, each from a fresh initialisation"""
    epochs: int = Field(default=1000, ge=1)
    plain_epochs: int | None = Field(default=None, ge=1)
    """epochs where there is no augmentation; None: as many (the original DC: 300, against 1000 with DSA)"""
    whole_dataset_epochs: int = Field(default=30, ge=1)
    """epochs on the whole dataset, whose last weights are tested: over so few, averaged ones would hold the first"""
    schedule: Literal["cosine", "step"] = "cosine"
    """of the learning rate: half linear warm-up and half cosine, as GLaD's code; or a tenth after half the epochs, as
    the original algorithms"""
    batch_size: int = Field(default=256, ge=1)
    learning_rates: Mapping[str, float] = PAPER_LEARNING_RATES
    """base learning rate per architecture name; of one that is not named here, and not one of the five, 0.001"""
    learned_step_size: bool = False
    """train on the sets of trajectory matching at the step size they learned, as its original does"""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """of the averaged weights that are tested, updated once per epoch; 0: the last weights are tested"""
    augmentation: str | None = None
    """DSA operations, a fresh draw per batch and per sample; None: those the run distilled with; empty: none"""
    labels: Literal["hard", "soft"] = "hard"
    """soft: class probabilities, those a set carries, else the teacher's; the whole dataset keeps its hard labels"""
    teacher: Experts = Experts(count=1)
    """networks trained on real data whose mean class probabilities are the soft labels of sets that carry none"""
    test_images: int | None = Field(default=None, ge=1)
    """test on this many images, evenly over classes; None: all"""
    precision: FP32Precision = "tf32"
    """in which GPUs multiply in trainings and tests: tf32, or float32"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("precision")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for network in self.networks:
            if network.name not in self.learning_rates and not network.foreign:
                raise UserError(f"evaluation.learning_rates has no rate for {network.name}")
        keys = [network.key for network in self.networks]
        if len(set(keys)) != len(keys):
            raise UserError(f"evaluation.networks names one network twice: {', '.join(keys)}")
        return self

    def learning_rate(self, network: Network) -> float:
        """Base learning rate of a network."""
        return self.learning_rates.get(network.name, FOREIGN_LEARNING_RATE)

    def decided_for(self, run: Run | ForeignSet) -> Self:
        """What the training on one run's set is: augmentation, epochs and averaging decided."""
        ema_decay = 0.0 if run.ipc is None else self.ema_decay
        return self.replace(augmentation=self.augmentation_for(run), epochs=self.epochs_for(run), ema_decay=ema_decay)

    def augmentation_for(self, run: Run | ForeignSet) -> str:
        """DSA operations of the training on one run's set."""
        return run.augmentation if self.augmentation is None else self.augmentation

    def epochs_for(self, run: Run | ForeignSet) -> int:
        """Epochs of the training on one run's set."""
        if run.ipc is None:
            return self.whole_dataset_epochs
        plain = None if self.augmentation_for(run) else self.plain_epochs
        return self.epochs if plain is None else plain

    def labels_of(self, run: Run | ForeignSet) -> Labels:
        """Which labels are trained on: hard, the run's own soft ones, or the teacher's."""
        if self.labels == "hard" or run.ipc is None:
            return "hard"
        return "own" if run.soft_labels else "teacher"

    def teachers_of(self, run: Run) -> ExpertSet | None:
        """The networks that label a run's set, if any do."""
        return run.experts_of(self.teacher) if self.labels_of(run) == "teacher" else None


class Slice(NamedTuple):
    """What one unit of work takes of a machine."""

    cpus: float
    gpus: float
    memory_gib: float
    machines: tuple[str, ...] = ()
    """resources of which a machine must have some, whatever is taken of them: those of its kind"""


def accelerator_resource(accelerator: str) -> str:
    """Ray's name for a type of GPU, as a resource of machines."""
    return f"accelerator_type:{accelerator}"


def _share_of_gpus(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("a share of GPUs is a number of at least 0, or auto")
    return float(value)


Gpus = Annotated[float | Literal["auto"], PlainValidator(_share_of_gpus)]
"""Of GPUs; `auto`: of one, as much as the memory of a first step asks for, which is measured before the sweep begins"""


MachineName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]


class Share(Record):
    """What some units of work take otherwise than the rest; None: the same."""

    cpus: float | None = Field(default=None, gt=0)
    gpus: Gpus | None = None
    memory_gib: float | None = Field(default=None, ge=0)
    accelerator: MachineName | None = None
    nodes: MachineName | None = None


class Resources(Record):
    """What one unit of work takes of the cluster; never part of a run's identity."""

    trial_cpus: float = Field(default=1, gt=0)
    trial_gpus: Gpus = 0
    """`auto` measures the first step of every kind of run, and packs as many on a GPU as its memory holds. Where GPUs
    are only counted, or it cannot be measured, each gets a whole one"""
    trial_memory_gib: float = Field(default=0, ge=0)
    """of the machine, not of its GPU; 0: not counted"""
    trial_accelerator: MachineName | None = None
    """type of GPU of the machines it may run on, by Ray's name: A100, T4; None: any"""
    trial_nodes: MachineName | None = None
    """custom resource that the machines it may run on have, as cluster files give to kinds of them: cheap, spot; None:
    any"""
    evaluation_cpus: float = Field(default=1, gt=0)
    evaluation_gpus: Gpus = 0
    evaluation_memory_gib: float = Field(default=0, ge=0)
    evaluation_accelerator: MachineName | None = None
    evaluation_nodes: MachineName | None = None
    evaluation_timeout_minutes: float | None = Field(default=None, gt=0)
    """for a run's evaluation with one network, all trainings that are left of it; what takes longer hangs: it is ended
    and tried again, and recorded as a failure in the end. None: no bound"""
    expert_cpus: float = Field(default=1, gt=0)
    expert_gpus: Gpus = 0
    expert_memory_gib: float = Field(default=0, ge=0)
    expert_accelerator: MachineName | None = None
    expert_nodes: MachineName | None = None
    shares: Mapping[str, Share] = {}
    """what differs, by the name of an algorithm (its distillations) or of a network (experts and evaluations of it):
    {"mtt": Share(gpus=0.5), "vit": Share(gpus=0.5)}"""
    logical_gpus: bool = False
    """GPUs are only counted, and everything computes on CPUs: to try on a machine without any how a sweep fills them"""
    deterministic: bool = False
    """use deterministic kernels on GPUs, which are slower; an operation that has none fails"""
    hours: float | None = Field(default=None, gt=0)
    """that one command may take on the clock; then nothing new is started, distillations are kept at their step,
    trainings under way come to their end, and the report says what is left. None: no bound"""
    gpu_hours: float | None = Field(default=None, gt=0)
    """the same for GPUs that units of work hold, in hours of a whole one, idle replicas left out"""
    max_trials: int | None = Field(default=None, ge=1)
    """distillations at once, whatever there is room for; None: no such bound"""
    experts_together: int = Field(default=1, ge=1)
    """experts of a set that one task trains as one batched ensemble, with one share; for a GPU that a single one leaves
    idle. On a CPU that takes longer than one after another: 1.2 to 1.4 times for 2, 1.4 to 2 times for 4 (ConvNets).
    Dropout cannot be batched: a ViT is always trained by itself"""
    generator_gpus: float = Field(default=0, ge=0)
    """of the replica of each generator that serves all trials of a machine; 0 where trials have GPUs: no replica, every
    trial holds its own generator"""
    generator_replicas: int = Field(default=1, ge=1)
    """of each generator on a machine at most, each with `generator_gpus`: those after the first load it when the ones
    before them have more to do than they can"""
    generator_memory_gib: float = Field(default=4, gt=0)
    """for the graphs of pullbacks through a generator, beyond its weights: as many images at a time as it has room for,
    at least one. Of a replica, for all its trials together: on CPUs it computes for one at a time per half GiB, for as
    many as the machine runs. Of a trial with its own generator: where all its images have room, it decodes once a step,
    not twice"""

    @field_validator("shares")
    @classmethod
    def _names_exist(cls, shares: Mapping[str, Share]) -> Mapping[str, Share]:
        names = (*ALGORITHM_NAMES, *NETWORK_NAMES)
        for name in shares:
            if name not in names and ":" not in name:
                raise unknown("algorithm or network in resources.shares", name, names)
        return shares

    def slice_of(self, unit: Unit, name: str) -> Slice:
        """What a unit of work takes whose algorithm (a trial) or network (the others) has a name; a whole GPU where
        that is to be measured.
        """
        gpus = self._part(unit, "gpus", name)
        whole = 1.0 if gpus == "auto" else float(gpus)
        accelerator, nodes = self._part(unit, "accelerator", name), self._part(unit, "nodes", name)
        machines = (accelerator_resource(accelerator) if accelerator else None, nodes)
        cpus, memory_gib = float(self._part(unit, "cpus", name)), float(self._part(unit, "memory_gib", name))
        return Slice(cpus, whole, memory_gib, tuple(filter(None, machines)))

    def measured(self, unit: Unit, name: str) -> bool:
        """Whether what such a unit of work takes of a GPU is to be measured."""
        return self._part(unit, "gpus", name) == "auto"

    def _part(self, unit: Unit, what: str, name: str) -> Any:
        own = getattr(self.shares.get(name, Share()), what)
        return getattr(self, f"{unit}_{what}") if own is None else own


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, Evaluation) else value


class Sweep(Record):
    """A named list of runs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    runs: tuple[Run, ...]
    evaluations: Annotated[tuple[Evaluation, ...], BeforeValidator(_one_or_several)] = (Evaluation(),)
    """how every run is scored; one or several, each with rows of its own"""
    resources: Resources = Resources()
    first: tuple[str, ...] = ()
    """conditions, each on a field of a run (`algorithm.name=mtt`, `space=f12`): runs that have the first start before
    those that have the second, and so on, all others after them; among equals the longest starts first"""
    description: str = ""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: dict[str, Run] = {}
        for run in self.runs:
            if run.run_id in seen:
                raise UserError(f"Two runs of the sweep are the same: {run.label}")
            seen[run.run_id] = run
        if not self.evaluations:
            raise UserError("A sweep needs at least one evaluation: leave evaluations out for the standard one")
        if len({evaluation.content_id for evaluation in self.evaluations}) < len(self.evaluations):
            raise UserError("Two evaluations of the sweep are the same: leave one out")
        for run in self.runs:
            for teachers in filter(None, (evaluation.teachers_of(run) for evaluation in self.evaluations)):
                check_judges(teachers)
        return self


def grid(base: Run, **axes: Iterable[Any]) -> tuple[Run, ...]:
    """Every combination of the values of `axes` over `base`, the last axis varying fastest.

    An axis is a field of `Run`; a value that is a mapping sets several fields together, whatever the axis is called:
    `grid(base, algorithm=[DC(), DM()], where=[{"space": "pixel"}, {"space": "f4", "generator": g}])`.
    """
    combinations = itertools.product(*([(name, value) for value in values] for name, values in axes.items()))
    return tuple(
        base.replace(**{
            key: field
            for name, value in combination
            for key, field in (value.items() if isinstance(value, Mapping) else [(name, value)])
        })
        for combination in combinations
    )  # fmt: skip
