"""What the commands do, as functions for scripts and notebooks, and what a storage holds as an object."""

from glad_ray.api.commands import distill, evaluate, run, search
from glad_ray.api.removal import Removal, remove
from glad_ray.api.results import Picture, Results, load

__all__ = ["Picture", "Removal", "Results", "distill", "evaluate", "load", "remove", "run", "search"]
