"""Experiment trackers: what a sweep does, sent to TensorBoard, MLflow, Weights & Biases or Trackio as it happens.

One file for each tracker says all that is particular to it. None of their packages is imported unless it is asked for.
"""

from glad_ray.trackers.checks import check_trackers
from glad_ray.trackers.tracked_view import tracked

__all__ = ["check_trackers", "tracked"]
