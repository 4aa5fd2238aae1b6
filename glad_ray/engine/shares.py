"""Shares of machines in Ray's words, and how they grow where they were too small."""

from collections.abc import Mapping
from typing import Any

from glad_ray.spec import Resources, Slice, Unit
from glad_ray.spec.generators import GIB

# Every trial of Tune's takes a byte of memory (trials.py): this many fit on a machine beside units that take all of it.
_TRIALS = 4096


def slices_of(node: Mapping[str, float], needed: Slice, *, held_gpus: float = 0) -> int:
    """How many units of work a machine has room for at once."""
    has = {"CPU": node.get("CPU", 0), "GPU": node.get("GPU", 0) - held_gpus, "memory": node.get("memory", 0)}
    takes = {"CPU": needed.cpus, "GPU": needed.gpus, "memory": needed.memory_gib * GIB}
    # Ray counts in ten thousandths.
    return min(int(has[part] / takes[part] + 1e-4) for part in takes if takes[part])


def ray_options(needed: Slice, tries: int = 0) -> dict[str, Any]:
    """A share in Ray's words; what was tried before goes elsewhere if it can."""
    options: dict[str, Any] = {
        "num_cpus": needed.cpus,
        "num_gpus": needed.gpus,
        "memory": max(needed.memory_gib * GIB - _TRIALS, 1) if needed.memory_gib else None,
    }
    return options | {"scheduling_strategy": "SPREAD"} if tries else options


class Shares:
    """What units of work take: what the sweep says, or what was learned from those that lacked memory of a GPU.

    `most_gpus` is what a unit can be given of one GPU.
    """

    def __init__(self, resources: Resources, most_gpus: float = 1.0) -> None:
        self._resources, self._most_gpus = resources, most_gpus
        self._learned: dict[tuple[Unit, str], float] = {}

    def of(self, unit: Unit, name: str) -> Slice:
        """What a unit of work takes whose algorithm (a trial) or network (the others) has a name."""
        asked = self._resources.slice_of(unit, name)
        return asked._replace(gpus=self._learned.get((unit, name), asked.gpus))

    def grow(self, unit: Unit, name: str, had: Slice) -> bool:
        """Give this unit and later ones of its kind twice what it had of a GPU, as far as there is more; false if not.

        Units that ran out of memory together make it grow once.
        """
        if not 0 < had.gpus < self._most_gpus:
            return False
        now = self.of(unit, name).gpus
        self._learned[unit, name] = max(now, min(2 * had.gpus, self._most_gpus))
        return True
