"""Differentiable siamese augmentation (DSA)."""

from glad_ray.augment.dsa import OPERATIONS, Draw, apply, augment, draw, parse_strategy
from glad_ray.augment.operations import apply_operation

__all__ = ["OPERATIONS", "Draw", "apply", "apply_operation", "augment", "draw", "parse_strategy"]
