"""Differentiable siamese augmentation (DSA)."""

from glad_ray.augment.dsa import Draw, apply, apply_drawn, augment, draw
from glad_ray.augment.operations import apply_operation
from glad_ray.spec.augmentation import OPERATIONS, parse_strategy

__all__ = ["OPERATIONS", "Draw", "apply", "apply_drawn", "apply_operation", "augment", "draw", "parse_strategy"]
