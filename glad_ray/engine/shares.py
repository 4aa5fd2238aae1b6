"""Shares of machines in Ray's words."""

from collections.abc import Mapping
from typing import Any

from glad_ray.spec import Slice
from glad_ray.spec.generators import GIB


def slices_of(node: Mapping[str, float], needed: Slice, *, held_gpus: float = 0) -> int:
    """How many units of work a machine has room for at once."""
    has = {"CPU": node.get("CPU", 0), "GPU": node.get("GPU", 0) - held_gpus, "memory": node.get("memory", 0)}
    takes = {"CPU": needed.cpus, "GPU": needed.gpus, "memory": needed.memory_gib * GIB}
    # Ray counts in ten thousandths.
    return min(int(has[part] / takes[part] + 1e-4) for part in takes if takes[part])


def ray_options(needed: Slice) -> dict[str, Any]:
    """A share in Ray's words."""
    return {"num_cpus": needed.cpus, "num_gpus": needed.gpus, "memory": needed.memory_gib * GIB or None}
