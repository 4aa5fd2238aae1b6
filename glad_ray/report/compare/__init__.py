"""Two storages set beside one another: `report/compare.html`."""

from glad_ray.report.compare.page import write_comparison

__all__ = ["write_comparison"]
