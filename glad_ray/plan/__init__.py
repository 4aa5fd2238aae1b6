"""What a sweep will do, in which order and at what cost, before anything is started."""

from glad_ray.plan.plan import Plan, make_plan, write_plan

__all__ = ["Plan", "make_plan", "write_plan"]
