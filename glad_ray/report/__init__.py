"""The report: one self-contained page and one table, made from results on storage alone; and that of a search."""

from glad_ray.report.fields import report_fields
from glad_ray.report.page import write_report
from glad_ray.report.search import write_search_report

__all__ = ["report_fields", "write_report", "write_search_report"]
