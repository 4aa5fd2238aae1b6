"""Image priors and the spaces that are optimised: pixels, style codes, feature maps (GLaD)."""

from glad_ray.generators.base import Generator, Latents
from glad_ray.generators.random_stylegan import build_random_stylegan
from glad_ray.generators.space import GeneratorSpace, PixelSpace, Space

__all__ = ["Generator", "GeneratorSpace", "Latents", "PixelSpace", "Space", "build_random_stylegan"]
