"""Runs long enough to be met in the middle, as a sweep file."""

from glad_ray.spec import Sweep
from tests.engine import tiny


def sweep():
    runs = tuple(tiny.RUNS[name] for name in ("random", "dm"))
    return Sweep(name="faults", runs=runs, evaluations=(tiny.EVALUATION,))
