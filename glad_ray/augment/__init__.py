"""Differentiable siamese augmentation (DSA), the sequential augmentation of IDC and NCFM, and images of a mini-batch
mixed with one another.
"""

from glad_ray.augment.dsa import UNIFORMS, Draw, apply, apply_drawn, augment, draw, uniforms_of
from glad_ray.augment.mixing import Box, Mix, cutmix_box, cutmix_of, draw_mix, mix_images, mixed_cross_entropy
from glad_ray.augment.operations import apply_operation
from glad_ray.spec.augmentation import OPERATIONS, parse_strategy

__all__ = [
    "OPERATIONS",
    "UNIFORMS",
    "Box",
    "Draw",
    "Mix",
    "apply",
    "apply_drawn",
    "apply_operation",
    "augment",
    "cutmix_box",
    "cutmix_of",
    "draw",
    "draw_mix",
    "mix_images",
    "mixed_cross_entropy",
    "parse_strategy",
    "uniforms_of",
]
