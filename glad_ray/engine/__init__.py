"""The engine: a plan's units of work, one after another in this process or on Ray, and what is seen of them.

Its names are imported when they are asked for: an actor that needs no PyTorch does not load it (three seconds and
300 MB each), and a process that needs no Ray goes without.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glad_ray.engine.cluster import run_on_ray
    from glad_ray.engine.in_process import distill_in_process, run_in_process
    from glad_ray.engine.scoring import score_in_process
    from glad_ray.engine.sweep_account import make_view
    from glad_ray.engine.view import View

_MODULES = {
    "View": "view",
    "distill_in_process": "in_process",
    "make_view": "sweep_account",
    "run_in_process": "in_process",
    "run_on_ray": "cluster",
    "score_in_process": "scoring",
}

__all__ = ["View", "distill_in_process", "make_view", "run_in_process", "run_on_ray", "score_in_process"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
