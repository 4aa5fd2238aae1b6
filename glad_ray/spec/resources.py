"""What units of work take of a cluster, and what bounds a command; never part of a run's identity."""

import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PlainValidator, field_validator, model_validator

from glad_ray.errors import UserError, unknown
from glad_ray.spec.algorithms import ALGORITHM_NAMES
from glad_ray.spec.networks import NETWORK_NAMES
from glad_ray.spec.record import Record
from glad_ray.spec.trackers import parse_tracker

Unit = Literal["trial", "evaluation", "expert"]


class Bundle(NamedTuple):
    """What one unit of work takes of a machine, in numbers."""

    cpus: float
    gpus: float
    memory_gib: float
    machines: tuple[str, ...] = ()
    """resources of which a machine must have some, whatever is taken of them: those of its kind"""


def accelerator_resource(accelerator: str) -> str:
    """Ray's name for a type of GPU, as a resource of machines."""
    return f"accelerator_type:{accelerator}"


def _gpus(value: Any) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("a share of GPUs is a number of at least 0, or auto")
    return float(value)


MachineName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]


class Share(Record):
    """What one unit of work takes of a machine: what is said here, and of all else as much as others of its unit."""

    cpus: float = Field(default=1, gt=0)
    """of a machine"""
    gpus: Annotated[float | Literal["auto"], PlainValidator(_gpus)] = 0
    """of GPUs; `auto`: of one, as much as the memory of a first step asks for, measured for every kind of work before
    the sweep begins. Where GPUs are only counted, or it cannot be measured, each gets a whole one"""
    memory_gib: float = Field(default=0, ge=0)
    """of the machine, not of its GPU; 0: not counted"""
    accelerator: MachineName | None = None
    """type of GPU of the machines it may run on, by Ray's name: A100, T4; None: any"""
    nodes: MachineName | None = None
    """custom resource that the machines it may run on have, as cluster files give to kinds of them: cheap, spot; None:
    any"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return type(self).model_fields.keys() - self.model_fields_set

    @property
    def measured(self) -> bool:
        """Whether what it takes of a GPU is to be measured."""
        return self.gpus == "auto"

    @property
    def bundle(self) -> Bundle:
        """In numbers: a whole GPU where that is to be measured."""
        gpus = 1.0 if self.gpus == "auto" else self.gpus
        accelerator = None if self.accelerator is None else accelerator_resource(self.accelerator)
        return Bundle(self.cpus, gpus, self.memory_gib, tuple(filter(None, (accelerator, self.nodes))))


_FLAT = {f"{unit}_{part}": (unit, part) for unit in ("trial", "evaluation", "expert") for part in Share.model_fields}
"""how shares were written before they were records: `trial_gpus` for `trial.gpus`"""


def _said(share: Any) -> Any:
    return {part: value for part, value in share.items() if value is not None} if isinstance(share, dict) else share


class Resources(Record):
    """What one unit of work takes of the cluster; never part of a run's identity."""

    trial: Share = Share()
    """of a distillation"""
    evaluation: Share = Share()
    """of a run's evaluation with one network"""
    expert: Share = Share()
    """of the training of an expert"""
    by_name: Mapping[str, Share] = {}
    """what differs, by the name of an algorithm (its distillations) or of a network (experts and evaluations of it):
    {"mtt": Share(gpus=0.5), "vit": Share(gpus=0.5)}"""
    evaluation_timeout_minutes: float | None = Field(default=None, gt=0)
    """for a run's evaluation with one network, all trainings that are left of it; what takes longer hangs: it is ended
    and tried again, and recorded as a failure in the end. None: no bound"""
    logical_gpus: bool = False
    """GPUs are only counted, and everything computes on CPUs: to try on a machine without any how a sweep fills them"""
    deterministic: bool = False
    """use deterministic kernels on GPUs, which are slower; an operation that has none fails"""
    hours: float | None = Field(default=None, gt=0)
    """that one command may take on the clock; then nothing new is started, distillations are kept at their step,
    trainings under way come to their end, and the report says what is left. None: no bound"""
    gpu_hours: float | None = Field(default=None, gt=0)
    """the same for GPUs that units of work hold, in hours of a whole one, idle replicas left out"""
    failures: int | None = Field(default=None, ge=1)
    """runs that may fail for good before the command ends in the same way; a set of experts that fails counts as one"""
    max_trials: int | None = Field(default=None, ge=1)
    """distillations at once, whatever there is room for; None: no such bound"""
    experts_together: int = Field(default=1, ge=1)
    """experts of a set that one task trains as one batched ensemble, with one share; for a GPU that a single one leaves
    idle. On a CPU that takes longer than one after another: 1.2 to 1.4 times for 2, 1.4 to 2 times for 4 (ConvNets).
    Dropout cannot be batched: a network that has it, as ViT does, is always trained by itself"""
    generator_gpus: float = Field(default=0, ge=0)
    """of the replica of each generator that serves all trials of a machine; 0 where trials have GPUs: no replica, every
    trial holds its own generator"""
    generator_memory_gib: float = Field(default=4, gt=0)
    """for the graphs of pullbacks through a generator, beyond its weights: as many images at a time as it has room for,
    at least one. Of a replica, for all its trials together: on CPUs it computes for one at a time per half GiB, for as
    many as the machine runs. Of a trial with its own generator: where all its images have room, it decodes once a step,
    not twice"""

    trackers: tuple[str, ...] = ()
    """experiment trackers that are sent the settings, losses, accuracies and images of every run: tensorboard, mlflow,
    wandb, trackio, each alone or with a place, as in mlflow:http://127.0.0.1:5000"""

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return self._at_default("trackers")

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, fields: Any) -> Any:
        """Fields as files have them that were written before shares were records."""
        if not isinstance(fields, dict):
            return fields
        now = {name: value for name, value in fields.items() if name not in _FLAT}
        for name in fields.keys() & _FLAT.keys():
            unit, part = _FLAT[name]
            if unit in fields:
                raise UserError(f"Resources has {name} and {unit}: say {unit}=Share({part}=...) alone.")
            now[unit] = now.get(unit, {}) | {part: fields[name]}
        if "by_name" not in now and isinstance(shares := now.get("shares"), Mapping):
            now["by_name"] = {name: _said(share) for name, share in shares.items()}
            del now["shares"]
        # A machine has one replica of a generator.
        now.pop("generator_replicas", None)
        return now

    @field_validator("by_name")
    @classmethod
    def _names_exist(cls, shares: Mapping[str, Share]) -> Mapping[str, Share]:
        names = (*ALGORITHM_NAMES, *NETWORK_NAMES)
        for name in shares:
            if name not in names and ":" not in name:
                raise unknown("algorithm or network in resources.by_name", name, names)
        return shares

    @field_validator("trackers")
    @classmethod
    def _trackers_exist(cls, trackers: tuple[str, ...]) -> tuple[str, ...]:
        for text in trackers:
            parse_tracker(text)
        return trackers

    def share_of(self, unit: Unit, name: str) -> Share:
        """What a unit of work takes whose algorithm (a trial) or network (the others) has a name."""
        share: Share = {"trial": self.trial, "evaluation": self.evaluation, "expert": self.expert}[unit]
        own = self.by_name.get(name, Share())
        return share.replace(**{part: getattr(own, part) for part in own.model_fields_set})


def field_of_today(path: str) -> str:
    """The path of a field of `Resources`, whichever way it is written: `trial_gpus` is `trial.gpus`."""
    return "by_name" if path == "shares" else ".".join(_FLAT.get(path, (path,)))
