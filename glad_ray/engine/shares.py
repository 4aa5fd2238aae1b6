"""Shares of machines in Ray's words: what units of work take, and how it grows where it was too little."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from glad_ray.spec import Evaluation, ExpertSet, Network, Resources, Run, Slice, Unit
from glad_ray.spec.generators import GIB

_MARGIN = 1.15
"""of what the first steps took: fragments, and batches that differ"""
_CONTEXT_BYTES = 600 * 2**20
"""of a GPU by every process that uses it or has used it, for CUDA's own"""
_MOST_ON_A_GPU = 16
_NOT_OF_MEMORY = ("learning_rates", "iterations", "step_size", "step_size_lr")
_SOME = 0.001
"""of a resource that tells of what kind a machine is: Ray takes as much for accelerator types"""
# Every trial of Tune's takes a byte of memory (trials.py): this many fit on a machine beside units that take all of it.
_TRIALS = 4096


class Kind(NamedTuple):
    """Units of work that take as much memory as one another."""

    unit: Unit
    name: str
    """of the algorithm (a trial) or network (the others)"""
    title: str
    like: tuple[Any, ...] = ()
    """what decides on its memory, as hashable values"""

    @classmethod
    def of_trial(cls, run: Run) -> "Kind":
        """Distillations of runs that differ in rates, numbers of steps and seeds alone."""
        algorithm = json.dumps(run.algorithm.model_dump(mode="json", exclude=set(_NOT_OF_MEMORY)), sort_keys=True)
        like = (run.dataset, run.pixels, run.ipc, run.space, run.generator, run.learn_generator, run.backbone)
        title = f"{run.algorithm.name} {run.space} {run.dataset} {run.pixels}px ipc {run.ipc}"
        return cls("trial", run.algorithm.name, title, (*like, run.augmentation, algorithm))

    @classmethod
    def of_evaluation(cls, run: Run, evaluation: Evaluation, network: Network) -> "Kind":
        """Trainings of a network on as many images."""
        title = f"evaluation with {network.title}, {run.dataset} {run.pixels}px ipc {run.ipc}"
        like = (network, run.dataset, run.pixels, run.ipc, evaluation.batch_size)
        return cls("evaluation", network.name, title, like)

    @classmethod
    def of_experts(cls, expert_set: ExpertSet) -> "Kind":
        """Experts of a set."""
        return cls("expert", expert_set.network.name, f"training of {expert_set.label}", (expert_set.stored_id,))


class Measured(NamedTuple):
    """What the first steps of a unit of work took of a GPU."""

    bytes: int
    free_bytes: int
    """that the GPU had for it"""
    total_bytes: int
    """that the GPU has"""
    gpus: int
    """that the machine has"""


def ray_options(needed: Slice, tries: int = 0) -> dict[str, Any]:
    """A share in Ray's words; what was tried before goes elsewhere if it can."""
    options: dict[str, Any] = {
        "num_cpus": needed.cpus,
        "num_gpus": needed.gpus,
        "memory": max(needed.memory_gib * GIB - _TRIALS, 1) if needed.memory_gib else None,
        "resources": dict.fromkeys(needed.machines, _SOME),
    }
    return options | {"scheduling_strategy": "SPREAD"} if tries else options


class Shares:
    """What units of work take: what the sweep says, what was measured, or what was learned from those that lacked
    memory of a GPU.

    `most_gpus` is what a unit can be given of one GPU.
    """

    def __init__(self, resources: Resources, most_gpus: float = 1.0) -> None:
        self.resources, self.most_gpus = resources, most_gpus
        self._learned: dict[Kind, float] = {}

    def of(self, kind: Kind) -> Slice:
        """What a unit of work takes."""
        asked = self.resources.slice_of(kind.unit, kind.name)
        if self.resources.measured(kind.unit, kind.name):
            asked = asked._replace(gpus=self.most_gpus)
        return asked._replace(gpus=self._learned.get(kind, asked.gpus))

    def pack(self, measured: Mapping[Kind, Measured]) -> dict[Kind, int]:
        """Give every unit of these kinds as much of a GPU as its memory asks for; returns how many are on one then.

        They share processes, each of which keeps a context on every GPU that it has used: with more processes for
        units that take little, fewer of those that take much have room. The number is the one with which as many units
        of each kind are done soonest, if each takes as long.
        """
        counts = range(1, _MOST_ON_A_GPU + 1)
        choices = [{kind: self._at_once(each, count) for kind, each in measured.items()} for count in counts]
        at_once = min(choices, key=lambda choice: sum(1 / units for units in choice.values()))
        for kind, units in at_once.items():
            # Ray counts in ten thousandths.
            self._learned[kind] = math.floor(1e4 * self.most_gpus / units) / 1e4
        return at_once

    def _at_once(self, measured: Measured, processes: int) -> int:
        """Units that a GPU has memory for, where there are so many processes for each GPU of the machine."""
        room = min(self.most_gpus * measured.total_bytes, measured.free_bytes)
        room -= processes * measured.gpus * _CONTEXT_BYTES
        return max(1, min(processes, int(room / (_MARGIN * max(1, measured.bytes)))))

    def grow(self, kind: Kind, had: Slice) -> bool:
        """Give this unit and later ones of its kind twice what it had of a GPU, as far as there is more; false if not.

        Units that ran out of memory together make it grow once.
        """
        if not 0 < had.gpus < self.most_gpus:
            return False
        self._learned[kind] = max(self.of(kind).gpus, min(2 * had.gpus, self.most_gpus))
        return True
