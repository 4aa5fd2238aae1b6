"""The page of a search: what was tried, what came out best, and how well its rungs rank trials."""

from glad_ray.report.search.page import write_search_report

__all__ = ["write_search_report"]
