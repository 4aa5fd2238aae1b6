"""The page of each run within the report: its settings, how it is made again, losses, images, evaluation and cost."""

from glad_ray.report.run_pages.page import RunPage, run_pages

__all__ = ["RunPage", "run_pages"]
