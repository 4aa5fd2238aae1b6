"""Layers in forms of few operations, for a GPU; see `glad_ray.machine.few_operations_are_fast`."""
