"""The page of a search: what was tried, what came out best, and how far its cheap looks can be trusted."""

from glad_ray.report.search.page import write_search_report

__all__ = ["write_search_report"]
