"""What a sweep will do, in which order, and what it costs: known before anything is started."""

from glad_ray.plan.plan import (
    Plan,
    as_stored,
    experts_needed,
    make_plan,
    plan_experts,
    plan_search,
    read_plan,
    write_plan,
)

__all__ = ["Plan", "as_stored", "experts_needed", "make_plan", "plan_experts", "plan_search", "read_plan", "write_plan"]
