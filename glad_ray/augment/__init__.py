"""Differentiable siamese augmentation (DSA), the sequential augmentation of IDC and NCFM, random views of images, and
mini-batches whose images are mixed.
"""

from glad_ray.augment.dsa import UNIFORMS, Draw, apply, apply_chosen, apply_drawn, augment, choices, draw, uniforms_of
from glad_ray.augment.mixing import Box, Mix, cutmix_box, cutmix_of, draw_mix, mix_images, mixed_cross_entropy
from glad_ray.augment.operations import apply_operation
from glad_ray.augment.views import Crop, View, draw_crop, draw_views, resized_crop, shuffled_parts, view_images
from glad_ray.spec.images.augmentation import OPERATIONS, parse_strategy

__all__ = [
    "OPERATIONS",
    "UNIFORMS",
    "Box",
    "Crop",
    "Draw",
    "Mix",
    "View",
    "apply",
    "apply_chosen",
    "apply_drawn",
    "apply_operation",
    "augment",
    "choices",
    "cutmix_box",
    "cutmix_of",
    "draw",
    "draw_crop",
    "draw_mix",
    "draw_views",
    "mix_images",
    "mixed_cross_entropy",
    "parse_strategy",
    "resized_crop",
    "shuffled_parts",
    "uniforms_of",
    "view_images",
]
