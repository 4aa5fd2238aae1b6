"""A generator trained on a dataset of one's own: four stages, scores, and a file like that of any other generator.

The recipe is for small images, few of them, and small machines; each module names the papers that it follows.
"""

from glad_ray.generator_training.make import make_generator
from glad_ray.generator_training.train import Advance, OnAdvance

__all__ = ["Advance", "OnAdvance", "make_generator"]
