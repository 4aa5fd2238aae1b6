"""Shares of machines in Ray's words: what units of work take, and how it grows where it was too little."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from glad_ray.engine.jobs import WorkClass
from glad_ray.spec import Bundle, Resources
from glad_ray.spec.generators import GIB

_MARGIN = 1.15
"""of what the first steps took: fragments, and batches that differ"""
_CONTEXT_BYTES = 600 * 2**20
"""of a GPU by every process that uses it or has used it, for CUDA's own"""
_MOST_ON_A_GPU = 16
_SOME = 0.001
"""of a resource that tells of what kind a machine is: Ray takes as much for accelerator types"""


class Measured(NamedTuple):
    """What the first steps of a unit of work took of a GPU."""

    bytes: int
    free_bytes: int
    """that the GPU had for it"""
    total_bytes: int
    """that the GPU has"""
    gpus: int
    """that the machine has"""


def placement_bundle(share: Bundle) -> dict[str, float]:
    """As a bundle of a placement group."""
    named = {"CPU": share.cpus, "GPU": share.gpus, "memory": share.memory_gib * GIB}
    return {name: value for name, value in named.items() if value} | dict.fromkeys(share.machines, _SOME)


def ray_options(share: Bundle, spread: bool = False) -> dict[str, Any]:
    """As options of a Ray task; `spread`: on the machine that has least to do."""
    options: dict[str, Any] = {
        "num_cpus": share.cpus,
        "num_gpus": share.gpus,
        "memory": share.memory_gib * GIB or None,
        "resources": dict.fromkeys(share.machines, _SOME),
    }
    return options | {"scheduling_strategy": "SPREAD"} if spread else options


class ShareTable:
    """What units of work take: what the sweep says, what was measured, or what was learned from those that lacked
    memory of a GPU.

    `most_gpus` is what a unit can be given of one GPU.
    """

    def __init__(self, resources: Resources, most_gpus: float = 1.0) -> None:
        self.resources, self.most_gpus = resources, most_gpus
        self._learned: dict[WorkClass, float] = {}

    def of(self, work_class: WorkClass) -> Bundle:
        """What a unit of work takes."""
        share = self.resources.share_of(work_class.unit, work_class.name)
        gpus = self.most_gpus if share.measured else share.bundle.gpus
        return share.bundle._replace(gpus=self._learned.get(work_class, gpus))

    def pack(self, measured: Mapping[WorkClass, Measured]) -> dict[WorkClass, int]:
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

    def grow(self, work_class: WorkClass, had: Bundle) -> bool:
        """Give this unit and later ones of its kind twice what it had of a GPU, as far as there is more; false if not.

        Units that ran out of memory together make it grow once.
        """
        if not 0 < had.gpus < self.most_gpus:
            return False
        self._learned[work_class] = max(self.of(work_class).gpus, min(2 * had.gpus, self.most_gpus))
        return True
