"""Differentiable siamese augmentation (DSA), and the sequential augmentation of IDC and NCFM."""

from glad_ray.augment.dsa import UNIFORMS, Draw, apply, apply_drawn, augment, draw, uniforms_of
from glad_ray.augment.operations import apply_operation
from glad_ray.spec.augmentation import OPERATIONS, parse_strategy

__all__ = [
    "OPERATIONS",
    "UNIFORMS",
    "Draw",
    "apply",
    "apply_drawn",
    "apply_operation",
    "augment",
    "draw",
    "parse_strategy",
    "uniforms_of",
]
