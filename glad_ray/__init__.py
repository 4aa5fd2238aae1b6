"""glad_ray: a sweep engine for dataset distillation."""

__version__ = "0.1.0"
