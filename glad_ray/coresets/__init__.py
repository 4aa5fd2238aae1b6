"""The baselines: real images chosen from each class, or made of real images; one file each."""

from glad_ray.coresets.candidates import Candidates
from glad_ray.coresets.choose import choose_images

__all__ = ["Candidates", "choose_images"]
