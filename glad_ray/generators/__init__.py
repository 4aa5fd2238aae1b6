"""Image priors and the spaces that are optimised: pixels, style codes, feature maps (GLaD)."""

from glad_ray.generators.base import (
    WEIGHTS,
    DifferentiableGenerator,
    ForetoldMemory,
    Generator,
    Latents,
    LayeredGenerator,
    cleaned,
    latent_images,
)
from glad_ray.generators.build import build_generator, check_generator, read_file
from glad_ray.generators.formation import GREY, FormationSpace, mixed, stored_images, training_images
from glad_ray.generators.in_process import InProcessGenerator
from glad_ray.generators.space import GeneratorSpace, LayeredSpace, PixelSpace, Space

__all__ = [
    "GREY",
    "WEIGHTS",
    "DifferentiableGenerator",
    "ForetoldMemory",
    "FormationSpace",
    "Generator",
    "GeneratorSpace",
    "InProcessGenerator",
    "Latents",
    "LayeredGenerator",
    "LayeredSpace",
    "PixelSpace",
    "Space",
    "build_generator",
    "check_generator",
    "cleaned",
    "latent_images",
    "mixed",
    "read_file",
    "stored_images",
    "training_images",
]
